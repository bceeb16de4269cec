/*
 * team.h
 *		Parallel workers that help with a computation: the core's crew, made of
 *		processes.
 */
#ifndef KSEG_TEAM_H
#define KSEG_TEAM_H

#include "../core/km.h"

typedef struct KsegTeam KsegTeam;

/*
 * The team of a computation whose memory is in the context, and its crew for
 * the core's host; NULL when there cannot be workers here.  It starts none
 * before there is work for them between begin and end.
 */
extern KsegTeam *kseg_team_create(MemoryContext context);
extern const KmCrew *kseg_team_crew(KsegTeam *team);

/*
 * Around what workers may help with.  Nothing may be written in between, nor
 * a subtransaction begun: the session is in parallel mode.  Pairs may stand
 * in pairs; an error ends them all.  team may be NULL.
 */
extern void kseg_team_begin(KsegTeam *team);
extern void kseg_team_end(KsegTeam *team);

/*
 * In between: workers go, and the session leaves parallel mode, until they are
 * needed again.
 */
extern void kseg_team_rest(KsegTeam *team);

#endif							/* KSEG_TEAM_H */
