/*
 * must.h
 *		What has to hold, in a process of its own and in a server's.
 */
#ifndef MUST_H
#define MUST_H

#include <stdio.h>
#include <stdlib.h>

/* A property that does not hold ends the program, as a sanitizer would. */
#define MUST(holds) \
	do { \
		if (!(holds)) \
		{ \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
					#holds); \
			abort(); \
		} \
	} while (0)

#endif							/* MUST_H */
