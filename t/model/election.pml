/*
 * Who supervises, and what becomes of an application's queue when supervisors
 * die: lib/lease, fcgi/responder ("adopt"), lib/orphan, fcgi/guard as built.
 * t/0095-model.py runs it where spin(1) is installed, also with one rule taken
 * out at a time: each must be needed.
 *
 * Two responders have one request each for the same application. Supervisors
 * are killed or get stuck at any moment; workers, too, die while they are idle.
 *
 * safety: never two supervisors; no request is answered twice (assertions)
 * liveness: both requests are answered (ltl), with weak fairness
 *
 * -DLEAK      a worker holds the lock, too, as a flock would be
 * -DNOBEAT    nobody looks for a supervisor that is stuck
 * -DFORGET    what waits in a queue that was not adopted stays there
 * -DAGAIN     it is handed over again, and stays there, too
 */
#ifndef KILLS
#define KILLS 1
#endif
#ifndef HANGS
#define HANGS 1
#endif
#define CRASHES 1
#define RESPONDERS  2
#ifndef SUPERVISORS
#define SUPERVISORS (KILLS + HANGS + 1)
#endif
#ifndef GENERATIONS
#define GENERATIONS (KILLS + HANGS + 1)
#endif

mtype:life = { FREE, TRYING, SERVING, STUCK, DEAD };
mtype:life life[SUPERVISORS + 1] = FREE;
byte pool[SUPERVISORS + 1]; /* generation of the queue that it supervises */
byte lock, sock;            /* whose; sock may be a dead one's */

mtype:request = { WAITING, QUEUED, ANSWERED };
mtype:request request[RESPONDERS] = WAITING;
byte answers[RESPONDERS];
byte link[RESPONDERS];   /* the supervisor it talks to */
byte queue[RESPONDERS];  /* the generation whose queue it holds */
byte placed[RESPONDERS]; /* the one whose queue its request waits in */
byte copy[RESPONDERS];   /* another one that it waits in, too: never */
bool offered[RESPONDERS];

byte generations;
bool worker[GENERATIONS + 1];
byte killed, hung, crashed;

#define IS_UP(s) (life[s] == SERVING || life[s] == STUCK)

#ifdef LEAK
#define FREES_LOCK(s) (lock == s && !(pool[s] != 0 && worker[pool[s]]))
#else
#define FREES_LOCK(s) (lock == s)
#endif
inline die(s)
{
	life[s] = DEAD;
	lock = (FREES_LOCK(s) -> 0 : lock)
}

/* A candidate gets a place, as fork(2) would give it one. */
inline elect()
{
	byte i = 1;
	do
	:: i <= SUPERVISORS && life[i] != FREE -> i++
	:: i <= SUPERVISORS && life[i] == FREE -> life[i] = TRYING; break
	:: i > SUPERVISORS -> break
	od;
	i = 0
}

proctype responder(byte r)
{
	do
	:: atomic { link[r] != 0 && life[link[r]] == DEAD ->
		link[r] = 0; offered[r] = false }
	:: atomic { link[r] == 0 && sock != 0 && IS_UP(sock) ->
		link[r] = sock; offered[r] = (queue[r] != 0) }
	:: atomic { link[r] == 0 && (sock == 0 || life[sock] == DEAD) ->
		elect() }
#ifndef NOBEAT
	:: atomic { link[r] != 0 && life[link[r]] == STUCK ->
		die(link[r]) }
#endif
	/* the offer of the queue that it has, and its answer */
	:: atomic { offered[r] && link[r] != 0 && life[link[r]] == SERVING ->
		offered[r] = false;
		if
		:: pool[link[r]] == 0 -> pool[link[r]] = queue[r] /* adopted */
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
	    !offered[r] && life[link[r]] == SERVING &&
	    (pool[link[r]] != 0 || generations < GENERATIONS) ->
		if
		:: pool[link[r]] == 0 ->
			generations++;
			pool[link[r]] = generations
		:: else
		fi;
		queue[r] = pool[link[r]] }
	:: atomic { request[r] == WAITING && queue[r] != 0 ->
		request[r] = QUEUED; placed[r] = queue[r] }
	:: request[0] == ANSWERED && request[1] == ANSWERED -> break
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
	:: request[0] == ANSWERED && request[1] == ANSWERED -> break
	od
}

/* Whichever takes a request answers it; it needs no supervisor for that. */
inline take(r)
{
	request[r] = ANSWERED;
	answers[r]++;
	assert(answers[r] == 1)
}

proctype workers(byte g)
{
	do
	:: atomic { worker[g] && request[0] == QUEUED && placed[0] == g ->
		take(0) }
	:: atomic { worker[g] && request[1] == QUEUED && placed[1] == g ->
		take(1) }
	:: atomic { worker[g] && copy[0] == g -> copy[0] = 0; take(0) }
	:: atomic { worker[g] && copy[1] == g -> copy[1] = 0; take(1) }
	:: request[0] == ANSWERED && request[1] == ANSWERED -> break
	od
}

#define FAULTS_OF(s)                                                          \
	:: atomic { killed < KILLS && (life[s] == TRYING || IS_UP(s)) ->      \
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
	:: break
	od
}

init {
	byte i = 1;

	atomic {
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

ltl answered { <> (request[0] == ANSWERED && request[1] == ANSWERED) }
