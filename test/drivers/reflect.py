#!/usr/bin/python3
"""What SQLAlchemy's reflection, which Superset uses, tells of the views of a
schema: a line of JSON for each.
"""
import json
import sys

import sqlalchemy

engine = sqlalchemy.create_engine('postgresql+psycopg2://')
inspector = sqlalchemy.inspect(engine)
schema = sys.argv[1]
for view in inspector.get_view_names(schema):
    columns = inspector.get_columns(view, schema)
    print(json.dumps({
        'view': schema + '.' + view,
        'comment': inspector.get_table_comment(view, schema)['text'],
        'names': [column['name'] for column in columns],
        'classes': [[type(column['type']).__name__ +
                     (' with time zone' if getattr(column['type'], 'timezone', False) else '')]
                    for column in columns],
        'comments': [column['comment'] for column in columns]}))
