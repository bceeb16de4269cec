#!/usr/bin/python3
"""Reads views as psycopg2 hands them over: a line of JSON for each view.

A value is told exactly: an integer by its digits, a double by its bits, a
moment in UTC; and what Python made of it by its class.
"""
import datetime
import json
import struct
import sys

import psycopg2


def told(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, float):
        return struct.pack('>d', value).hex()
    if isinstance(value, datetime.datetime):
        assert value.tzinfo is not None
        moment = value.astimezone(datetime.timezone.utc)
        return moment.strftime('%Y-%m-%dT%H:%M:%S.%f')
    return str(value)


# addresses and names come from the environment: PGHOST and so on
connection = psycopg2.connect('')
for view in sys.argv[1:]:
    cursor = connection.cursor()
    cursor.execute('SELECT * FROM ' + view)
    rows = cursor.fetchall()
    print(json.dumps({
        'view': view,
        'names': [column.name for column in cursor.description],
        'types': [column.type_code for column in cursor.description],
        'classes': [sorted({type(row[i]).__name__ for row in rows if row[i] is not None})
                    for i in range(len(cursor.description))],
        'rows': [[told(value) for value in row] for row in rows]}))
