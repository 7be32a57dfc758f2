/*
 * Who supervises, and what becomes of an application's queue when supervisors
 * die or leave: lib/lease, lib/supervisor ("retire", "leave"), fcgi/responder
 * ("adopt", "outdated"), lib/orphan, fcgi/guard as built. t/0095-model.py runs
 * it where spin(1) is installed, also with one rule taken out at a time: each
 * must be needed.
 *
 * Two responders have one request each for the same application. Supervisors
 * are killed or get stuck at any moment; workers, too, die while they are idle.
 *
 * safety: never two supervisors; no request is answered twice, and none is read
 *     by a worker of another version than wrote it (assertions)
 * liveness: both requests are answered (ltl), with weak fairness
 *
 * What happens besides deaths:
 * -DLOSSES=n  so many messages between a responder and a supervisor, with what
 *             descriptors they carry, fail to arrive
 * -DUPGRADE   responder 1 is of a newer version; what the file of responder 0
 *             is does not matter for what it has begun, so it may be either
 * -DEXIT      a supervisor that no responder has a link to leaves, and nothing
 *             is left over at the end
 *
 * Rules taken out:
 * -DLEAK      a worker holds the lock, too, as a flock would be
 * -DNOBEAT    nobody looks for a supervisor that is stuck
 * -DFORGET    what waits in a queue that was not adopted stays there
 * -DAGAIN     it is handed over again, and stays there, too
 * -DHALF      a link over which something was lost is kept
 * -DYIELD     of two versions whoever is there gives way, not the older
 * -DREUSE     a responder that becomes the newer version keeps its queue
 * -DLINGER    a supervisor without responders stays
 */
#ifndef KILLS
#define KILLS 1
#endif
#ifndef HANGS
#define HANGS 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define RESPONDERS  2
#ifndef LOSSES
#define LOSSES 0
#endif
#ifndef SUPERVISORS
#ifdef UPGRADE
#define SUPERVISORS 5
#elif defined(EXIT)
#define SUPERVISORS 4
#else
#define SUPERVISORS 3
#endif
#endif
#define GENERATIONS SUPERVISORS

mtype:life = { FREE, TRYING, SERVING, STUCK, LEAVING, RETIRED, DEAD };
mtype:life life[SUPERVISORS + 1] = FREE;
byte pool[SUPERVISORS + 1]; /* generation of the queue that it supervises */
byte lock, sock;            /* whose; sock may be a dead one's */
bit speaks[SUPERVISORS + 1]; /* which version */

mtype:request = { WAITING, QUEUED, ANSWERED };
mtype:request request[RESPONDERS] = WAITING;
byte answers[RESPONDERS];
byte link[RESPONDERS];   /* the supervisor it talks to */
byte queue[RESPONDERS];  /* the generation whose queue it holds */
byte placed[RESPONDERS]; /* the one whose queue its request waits in */
byte copy[RESPONDERS];   /* another one that it waits in, too: never */
byte mine[RESPONDERS];   /* its candidate */
bool offered[RESPONDERS];
bit version[RESPONDERS];
bit wrote[RESPONDERS];   /* the version that its request was handed over in */
bool deaf[RESPONDERS];   /* it waits for what was lost: never */

byte generations;
bool worker[GENERATIONS + 1];
bit made[GENERATIONS + 1];     /* the version of its workers */
byte drainer[GENERATIONS + 1]; /* who has shut this queue, and sees it empty */
byte killed, hung, crashed, losses, exits, ended, older, met;

#define IS_UP(s) (life[s] == SERVING || life[s] == STUCK || life[s] == LEAVING)
#define WAITS_IN(r, g) (request[r] == QUEUED && placed[r] == g)
#define IS_EMPTY(g) (!WAITS_IN(0, g) && !WAITS_IN(1, g))
#define ARE_ANSWERED (request[0] == ANSWERED && request[1] == ANSWERED)
#define IS_ALONE(s) (link[0] != s && link[1] != s)

#ifdef LEAK
#define FREES_LOCK(s) (lock == s && !(pool[s] != 0 && worker[pool[s]]))
#else
#define FREES_LOCK(s) (lock == s)
#endif
inline die(dead)
{
	life[dead] = DEAD;
	lock = (FREES_LOCK(dead) -> 0 : lock)
}

/* A candidate gets a place, as fork(2) would give it one. While a newer
 * responder has candidates, too, chance decides who gets the lock: not the
 * older for ever. */
#ifdef UPGRADE
#define MAY_ELECT(r)                                                          \
	(life[mine[r]] != TRYING && (version[r] == 1 || older < 2 ||          \
		version[1 - r] == 0 || request[1 - r] == ANSWERED))
#define WANTS_ONE(r) (request[r] != ANSWERED)
#else
#define MAY_ELECT(r) true
#define WANTS_ONE(r) true
#endif
inline elect(by)
{
	byte i = 1;
	do
	:: i <= SUPERVISORS && life[i] != FREE -> i++
	:: i <= SUPERVISORS && life[i] == FREE ->
		life[i] = TRYING;
#ifdef UPGRADE
		mine[by] = i;
		older = (version[by] == 0 && older < 2 -> older + 1 : older);
#endif
		speaks[i] = version[by];
		break
	:: i > SUPERVISORS -> break
	od;
	i = 0
}

/* Whoever answers, a worker or with a page. */
inline take(whose)
{
	request[whose] = ANSWERED;
	answers[whose]++;
	assert(answers[whose] == 1)
}

/* A message has not arrived, or not whole: both ends give the link up. */
inline lose(by)
{
	losses++;
#ifdef HALF
	deaf[by] = true
#else
	link[by] = 0;
	offered[by] = false
#endif
}

/* It becomes what is in its file now, or stays what it is. What it has begun is
 * carried on: what waits in a queue waits there, though only for so long, the
 * rest gets a page. */
#define SEES_TO(s, g) (life[s] != DEAD && pool[s] == g)
inline outdated(old)
{
	link[old] = 0;
	offered[old] = false;
	if
	:: request[old] == WAITING -> take(old)
	:: request[old] == QUEUED && !worker[placed[old]] &&
	    !SEES_TO(1, placed[old]) && !SEES_TO(2, placed[old]) &&
	    !SEES_TO(3, placed[old]) && !SEES_TO(SUPERVISORS - 1, placed[old]) &&
	    !SEES_TO(SUPERVISORS, placed[old]) -> take(old)
	:: else
	fi;
	if
	:: true ->
		version[old] = 1;
#ifndef REUSE
		queue[old] = 0
#endif
	:: true
	fi
}

/* No more requests go into its queue; who has a link hears that. */
inline drain(slow)
{
	if
	:: pool[slow] != 0 ->
		drainer[pool[slow]] = slow;
		queue[0] = (link[0] == slow && queue[0] == pool[slow] ->
			0 : queue[0]);
		queue[1] = (link[1] == slow && queue[1] == pool[slow] ->
			0 : queue[1])
	:: else
	fi
}

inline retire(gone)
{
	drain(gone);
	life[gone] = RETIRED;
	lock = (FREES_LOCK(gone) -> 0 : lock);
	sock = (sock == gone -> 0 : sock)
}

/* It comes to a supervisor of another version, which has a look at it: the
 * older gives way, or one whose own responders have gone for a while. */
#ifdef YIELD
#define IS_TO_GO(r, s) true
#else
#define IS_TO_GO(r, s) (IS_ALONE(s) && version[1 - r] != speaks[s])
#endif
inline meet(comer, host)
{
	met = host;
	if
	:: speaks[met] < version[comer] ->
		retire(met);
		if
		:: link[1 - comer] == met -> outdated(1 - comer)
		:: else
		fi
	:: else ->
		if
		:: IS_TO_GO(comer, met) -> retire(met)
		:: else
		fi;
		outdated(comer)
	fi;
	met = 0
}

proctype responder(byte r)
{
	do
	:: atomic { link[r] != 0 && (life[link[r]] == DEAD ||
	    life[link[r]] == RETIRED) ->
		link[r] = 0; offered[r] = false; deaf[r] = false }
	:: atomic { link[r] == 0 && sock != 0 && IS_UP(sock) &&
	    WANTS_ONE(r) ->
		if
		:: life[sock] == STUCK || speaks[sock] == version[r] ->
			link[r] = sock;
			offered[r] = (queue[r] != 0);
			if
			:: life[sock] == LEAVING -> /* it stays after all */
				life[sock] = SERVING;
				pool[sock] = 0
			:: else
			fi
		:: else -> meet(r, sock)
		fi }
	:: atomic { link[r] == 0 && (sock == 0 || life[sock] == DEAD) &&
	    !ARE_ANSWERED && MAY_ELECT(r) ->
		elect(r) }
#ifndef NOBEAT
	:: atomic { link[r] != 0 && life[link[r]] == STUCK ->
		die(link[r]) }
#endif
	/* the offer of the queue that it has, and its answer */
	:: atomic { offered[r] && !deaf[r] && link[r] != 0 &&
	    life[link[r]] == SERVING ->
		offered[r] = false;
		if
		:: losses < LOSSES -> /* the offer */
			lose(r)
		:: losses < LOSSES && pool[link[r]] == 0 &&
		    drainer[queue[r]] == 0 -> /* the answer */
			pool[link[r]] = queue[r];
			lose(r)
		:: pool[link[r]] == 0 && drainer[queue[r]] == 0 ->
			pool[link[r]] = queue[r] /* adopted */
		:: pool[link[r]] == queue[r] /* it was, by another's offer */
		:: else -> /* gone: what no worker has taken is moved */
			queue[r] = 0;
			if
			:: request[r] == QUEUED ->
				skip;
#ifdef AGAIN
				copy[r] = placed[r];
#endif
#ifndef FORGET
				placed[r] = 0;
				request[r] = WAITING
#endif
			:: else
			fi
		fi }
	/* it has none: the supervisor gives it that of its pool */
	:: atomic { request[r] != ANSWERED && queue[r] == 0 && link[r] != 0 &&
	    !offered[r] && !deaf[r] && life[link[r]] == SERVING &&
	    (pool[link[r]] != 0 || generations < GENERATIONS) ->
		if
		:: pool[link[r]] == 0 ->
			generations++;
			pool[link[r]] = generations;
			made[generations] = speaks[link[r]]
		:: else
		fi;
		if
		:: losses < LOSSES -> lose(r)
		:: true -> queue[r] = pool[link[r]]
		fi }
	:: atomic { request[r] == WAITING && queue[r] != 0 ->
		if
		:: drainer[queue[r]] != 0 -> queue[r] = 0 /* EPIPE */
		:: else ->
			request[r] = QUEUED;
			placed[r] = queue[r];
			wrote[r] = version[r]
		fi }
	:: atomic { ARE_ANSWERED -> link[r] = 0; ended++; break }
	od
}

proctype supervisor(byte s)
{
	do
	:: atomic { life[s] == TRYING && lock == 0 -> lock = s }
	:: atomic { life[s] == TRYING && lock != 0 && lock != s ->
		life[s] = FREE }
	:: atomic { life[s] == TRYING && lock == s ->
		byte i = 1;
		do
		:: i <= SUPERVISORS -> assert(i == s || !IS_UP(i)); i++
		:: else -> break
		od;
		i = 0;
		sock = s;
		life[s] = SERVING }
	:: atomic { life[s] == SERVING && pool[s] != 0 && !worker[pool[s]] ->
		worker[pool[s]] = true }
#if defined(EXIT) && !defined(LINGER)
	:: atomic { life[s] == SERVING && IS_ALONE(s) &&
	    (ARE_ANSWERED || exits == 0) ->
		exits = 1;
		drain(s);
		life[s] = LEAVING }
#endif
#if defined(EXIT) || defined(UPGRADE)
	:: atomic { (life[s] == LEAVING || life[s] == RETIRED) &&
	    (pool[s] == 0 || (IS_EMPTY(pool[s]) && !worker[pool[s]])) ->
		sock = (sock == s -> 0 : sock);
		die(s) }
	:: life[s] == DEAD -> break
#endif
#ifdef EXIT
	:: ended == RESPONDERS && life[s] == FREE -> break
#else
	:: ARE_ANSWERED -> break
#endif
	od
}

/* Nobody is left to take it: its end is seen, and it gets a page. */
#define IS_DROPPED(r, g)                                                      \
	(WAITS_IN(r, g) && !worker[g] && drainer[g] != 0 && queue[r] != g)
#define IS_READ(r, g) (worker[g] && WAITS_IN(r, g))
#ifdef EXIT
#define MAY_LEAVE(g)                                                          \
	(drainer[g] != 0 ||                                                   \
		(life[1] != SERVING && life[2] != SERVING &&                  \
			life[3] != SERVING && life[4] != SERVING))
#else
#define MAY_LEAVE(g) (drainer[g] != 0)
#endif

proctype workers(byte g)
{
	do
	:: atomic { IS_READ(0, g) -> assert(wrote[0] == made[g]); take(0) }
	:: atomic { IS_READ(1, g) -> assert(wrote[1] == made[g]); take(1) }
	:: atomic { IS_DROPPED(0, g) -> take(0) }
	:: atomic { IS_DROPPED(1, g) -> take(1) }
	:: atomic { worker[g] && copy[0] == g -> copy[0] = 0; take(0) }
	:: atomic { worker[g] && copy[1] == g -> copy[1] = 0; take(1) }
	/* it was asked to leave, or there has been no supervisor for a while */
	:: atomic { worker[g] && IS_EMPTY(g) && MAY_LEAVE(g) ->
		worker[g] = false }
#ifndef EXIT
	:: ARE_ANSWERED -> break
#endif
	od
}

#define FAULTS_OF(s)                                                          \
	:: atomic { killed < KILLS && (life[s] == TRYING || IS_UP(s) ||       \
	    life[s] == RETIRED) ->                                            \
		killed++; die(s) }                                            \
	:: atomic { hung < HANGS && life[s] == SERVING ->                     \
		hung++; life[s] = STUCK }                                     \
	:: atomic { crashed < CRASHES && worker[s] ->                         \
		crashed++; worker[s] = false }

proctype faults()
{
	do
	FAULTS_OF(1)
	FAULTS_OF(2)
	FAULTS_OF(3)
#if SUPERVISORS > 3
	FAULTS_OF(4)
#endif
#if SUPERVISORS > 4
	FAULTS_OF(5)
#endif
	:: break
	od
}

init {
	byte i = 1;

	atomic {
#ifdef UPGRADE
		version[1] = 1;
#endif
		run responder(0);
		run responder(1);
		do
		:: i <= SUPERVISORS -> run supervisor(i); i++
		:: else -> break
		od;
		i = 1;
		do
		:: i <= GENERATIONS -> run workers(i); i++
		:: else -> break
		od;
		run faults()
	}
}

#ifdef EXIT
#define IS_LEFT(s) (life[s] != FREE && life[s] != DEAD)
ltl left_nothing { <> (ARE_ANSWERED && !IS_LEFT(1) && !IS_LEFT(2) &&
	!IS_LEFT(3) && !IS_LEFT(4) && !worker[1] && !worker[2] && !worker[3] &&
	!worker[4]) }
#else
ltl answered { <> ARE_ANSWERED }
#endif
