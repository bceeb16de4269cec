/*
 * threads.h
 *		A crew of threads, for tests and the benchmark of the core.
 *
 * Members' memory is all at the same addresses, which processes do not have;
 * the server's tests are for that.
 */
#ifndef THREADS_H
#define THREADS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "km.h"

#define THREADS_MAX		16

typedef struct Threads Threads;

typedef struct Thread
{
	Threads    *threads;
	int			number;			/* from 1 */
	pthread_t	thread;
	KmHost		host;
	KmCrew		crew;			/* shares and sees, gathers nobody */
} Thread;

struct Threads
{
	KmCrew		crew;			/* for the caller's host */
	int			n;
	Thread		members[THREADS_MAX];
	/* set by a test; 0: never */
	atomic_long refuse_at;		/* number of the sharing refused, and all
								 * after it */
	atomic_long stop_at;		/* number of the members' poll that says stop */
	atomic_long starve_at;		/* number of the members' allocation that is
								 * refused */
	atomic_long blind_at;		/* number of the members' look that sees
								 * nothing, and all after it */
	/* counted */
	atomic_long shared;
	atomic_long outstanding;	/* shared and not given back */
	atomic_long polls;			/* of members */
	atomic_long looks;			/* of members */
	atomic_long allocations;	/* of members */
	atomic_long held;			/* by members, allocated and not freed */
	atomic_long helped;			/* tasks that members took part in */
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t called;
	pthread_cond_t returned;
	long		calls;
	bool		is_open;
	bool		is_over;
	int			working;
	int			task;
	KmHandle	input;
};

static void *
thread_alloc(void *arg, size_t size)
{
	Threads    *threads = ((Thread *) arg)->threads;
	long		number = atomic_fetch_add(&threads->allocations, 1) + 1;

	if (number == atomic_load(&threads->starve_at))
		return NULL;
	atomic_fetch_add(&threads->held, 1);
	return malloc(size);
}

static void
thread_free(void *arg, void *pointer)
{
	atomic_fetch_sub(&((Thread *) arg)->threads->held, 1);
	free(pointer);
}

static bool
thread_poll(void *arg)
{
	Threads    *threads = ((Thread *) arg)->threads;
	long		number = atomic_fetch_add(&threads->polls, 1) + 1;
	long		stop_at = atomic_load(&threads->stop_at);

	return stop_at == 0 || number < stop_at;
}

static void *
threads_share(void *arg, size_t size, KmHandle *handle)
{
	Threads    *threads = arg;
	long		number = atomic_fetch_add(&threads->shared, 1) + 1;
	long		refuse_at = atomic_load(&threads->refuse_at);
	size_t		room = (size + 63) / 64 * 64;
	void	   *memory;

	*handle = 0;
	if (refuse_at != 0 && number >= refuse_at)
		return NULL;
	memory = aligned_alloc(64, room > 0 ? room : 64);
	if (memory == NULL)
		return NULL;
	memset(memory, 0, room);
	atomic_fetch_add(&threads->outstanding, 1);
	*handle = (KmHandle) (uintptr_t) memory;
	return memory;
}

static void *
threads_see(void *arg, KmHandle handle)
{
	(void) arg;
	return (void *) (uintptr_t) handle;
}

static void *
member_see(void *arg, KmHandle handle)
{
	Threads    *threads = arg;
	long		number = atomic_fetch_add(&threads->looks, 1) + 1;
	long		blind_at = atomic_load(&threads->blind_at);

	if (blind_at != 0 && number >= blind_at)
		return NULL;
	return threads_see(arg, handle);
}

static void
threads_unshare(void *arg, KmHandle handle)
{
	Threads    *threads = arg;

	atomic_fetch_sub(&threads->outstanding, 1);
	free((void *) (uintptr_t) handle);
}

static int
threads_gather(void *arg, double work)
{
	(void) work;
	return ((Threads *) arg)->n;
}

static int
gather_nobody(void *arg, double work)
{
	(void) arg;
	(void) work;
	return 0;
}

static void
threads_call(void *arg, int task, KmHandle input)
{
	Threads    *threads = arg;

	pthread_mutex_lock(&threads->lock);
	threads->task = task;
	threads->input = input;
	threads->is_open = true;
	threads->calls++;
	pthread_cond_broadcast(&threads->called);
	pthread_mutex_unlock(&threads->lock);
}

static void
threads_wait(void *arg)
{
	Threads    *threads = arg;

	pthread_mutex_lock(&threads->lock);
	threads->is_open = false;
	while (threads->working > 0)
		pthread_cond_wait(&threads->returned, &threads->lock);
	pthread_mutex_unlock(&threads->lock);
}

static void *
thread_main(void *arg)
{
	Thread	   *member = arg;
	Threads    *threads = member->threads;
	long		seen = 0;

	pthread_mutex_lock(&threads->lock);
	while (!threads->is_over)
	{
		int			task;
		KmHandle	input;

		if (!threads->is_open || threads->calls == seen)
		{
			pthread_cond_wait(&threads->called, &threads->lock);
			continue;
		}
		seen = threads->calls;
		task = threads->task;
		input = threads->input;
		threads->working++;
		pthread_mutex_unlock(&threads->lock);
		km_crew_help(&member->host, member->number, task, input);
		atomic_fetch_add(&threads->helped, 1);
		pthread_mutex_lock(&threads->lock);
		if (--threads->working == 0)
			pthread_cond_signal(&threads->returned);
	}
	pthread_mutex_unlock(&threads->lock);
	return NULL;
}

/* n beside the caller; threads->crew is for the caller's host. */
static inline void
threads_start(Threads *threads, int n, double grain)
{
	KmCrew	   *crew = &threads->crew;

	memset(threads, 0, sizeof(*threads));
	threads->n = n;
	crew->gather = threads_gather;
	crew->share = threads_share;
	crew->see = threads_see;
	crew->unshare = threads_unshare;
	crew->call = threads_call;
	crew->wait = threads_wait;
	crew->grain = grain;
	crew->arg = threads;
	pthread_mutex_init(&threads->lock, NULL);
	pthread_cond_init(&threads->called, NULL);
	pthread_cond_init(&threads->returned, NULL);
	for (int i = 0; i < n; i++)
	{
		Thread	   *member = &threads->members[i];

		member->threads = threads;
		member->number = i + 1;
		member->crew = *crew;
		member->crew.gather = gather_nobody;
		member->crew.see = member_see;
		member->host.alloc = thread_alloc;
		member->host.free = thread_free;
		member->host.poll = thread_poll;
		member->host.arg = member;
		member->host.crew = &member->crew;
		if (pthread_create(&member->thread, NULL, thread_main, member) != 0)
			abort();
	}
}

static inline void
threads_end(Threads *threads)
{
	pthread_mutex_lock(&threads->lock);
	threads->is_over = true;
	pthread_cond_broadcast(&threads->called);
	pthread_mutex_unlock(&threads->lock);
	for (int i = 0; i < threads->n; i++)
		pthread_join(threads->members[i].thread, NULL);
	pthread_mutex_destroy(&threads->lock);
	pthread_cond_destroy(&threads->called);
	pthread_cond_destroy(&threads->returned);
}

#endif							/* THREADS_H */
