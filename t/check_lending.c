#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/lending.h"
#include "lib/link.h"
#include "t/check.h"
#include "t/scene.h"

static struct lending lending;
static struct worker worker;
static int told; /* the worker's end of its control socket */
static int before;

static void
enter(void)
{
	int pair[2];

	scene_enter();
	before = scene_descriptors();
	ck_assert_int_eq(fd_pair_seqpacket(pair), 0);
	lending = (struct lending){ 0 };
	worker = (struct worker){ .can_accept = 1 };
	worker.control.fd = pair[0];
	told = pair[1];
}

static void
leave(void)
{
	lending_release(&lending);
	ck_assert_uint_eq(lending.n, 0);
	fd_close(&worker.control.fd);
	fd_close(&told);
	ck_assert_int_eq(scene_descriptors(), before);
	scene_leave();
}

/* A file stands for the socket, and another one for the way back. */
static void
add(const void *owner, const char *socket, const char *base)
{
	json_t *message = json_pack("{s:s, s:s, s:s*}", "type", "socket",
	    "program", "mamayo", "base", base);
	int fds[2];

	fds[0] = open(socket, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	fds[1] = open("back", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	lending_add(&lending, owner, message, fds);
	json_decref(message);
}

/* Is the descriptor open on that file? */
static int
is_file(int fd, const char *path)
{
	struct stat open_one, named;

	return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 &&
	       open_one.st_ino == named.st_ino;
}

/* What the worker is told next; NULL: nothing. */
static json_t *
hear(int fds[2])
{
	json_t *message;
	size_t nfds = 2;

	fds[0] = fds[1] = -1;
	if (link_recv(told, &message, fds, &nfds) != 1)
		return NULL;
	ck_assert_uint_eq(
	    nfds, strcmp(link_string(message, "type"), "lend") == 0 ? 2 : 0);
	return message;
}

/* The worker has been lent that socket. */
static void
heard(const char *socket, json_int_t number)
{
	int fds[2];
	json_t *message = hear(fds);

	ck_assert_ptr_nonnull(message);
	ck_assert_str_eq(link_string(message, "type"), "lend");
	ck_assert_int_eq(link_int(message, "number"), number);
	ck_assert(is_file(fds[0], socket));
	ck_assert(is_file(fds[1], "back"));
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	json_decref(message);
}

static void
heard_nothing(void)
{
	int fds[2];

	ck_assert_ptr_null(hear(fds));
}

/* A directory that was last changed so long ago. */
static char *
place(const char *path, time_t seconds)
{
	struct timespec times[2];

	ck_assert(mkdir(path, 0700) == 0);
	clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_sec -= seconds;
	times[0] = times[1];
	ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
	return (char *)path;
}

START_TEST(test_a_worker_gets_every_socket_with_the_way_back)
{
	enter();
	add(&told, "one", NULL);
	add(&told, "two", "/base");
	lending_give(&lending, &worker, "/shop", "/apps/shop/public");
	ck_assert_int_eq(worker.has_sockets, 1);
	heard("two", 2); /* in any order */
	heard("one", 1);
	heard_nothing();
	leave();
}
END_TEST

START_TEST(test_it_is_told_all_that_it_must_know)
{
	char *paths[] = { NULL, NULL };
	json_t *message, *watch, *one;
	struct stat st;
	int fds[2];

	enter();
	paths[0] = place("apps", 100);
	paths[1] = place("group", 200);
	add(&told, "one", "/base");
	ck_assert_int_eq(lending_look(&lending, paths, 2), 1);
	lending_give(&lending, &worker, "/shop", "/apps/shop/public");
	message = hear(fds);
	ck_assert_ptr_nonnull(message);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	ck_assert_str_eq(link_string(message, "mount"), "/shop");
	ck_assert_str_eq(link_string(message, "program"), "mamayo");
	ck_assert_str_eq(link_string(message, "base"), "/base");
	ck_assert_str_eq(link_string(message, "public"), "/apps/shop/public");
	watch = json_object_get(message, "watch");
	ck_assert_uint_eq(json_array_size(watch), 2);
	for (size_t i = 0; i < 2; i++) {
		one = json_array_get(watch, i);
		ck_assert_int_eq(stat(paths[i], &st), 0);
		ck_assert_str_eq(
		    json_string_value(json_array_get(one, 0)), paths[i]);
		ck_assert_int_eq(json_integer_value(json_array_get(one, 1)),
		    st.st_mtim.tv_sec);
		ck_assert_int_eq(json_integer_value(json_array_get(one, 2)),
		    st.st_mtim.tv_nsec);
		ck_assert_int_eq(
		    json_integer_value(json_array_get(one, 3)), st.st_ino);
	}
	json_decref(message);
	leave();
}
END_TEST

START_TEST(test_without_a_base_there_is_none)
{
	json_t *message;
	int fds[2];

	enter();
	add(&told, "one", NULL);
	lending_give(&lending, &worker, "", "/public");
	message = hear(fds);
	ck_assert_ptr_nonnull(message);
	ck_assert_ptr_null(json_object_get(message, "base"));
	json_decref(message);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	leave();
}
END_TEST

START_TEST(test_who_has_them_or_cannot_use_them_gets_none)
{
	int control;

	enter();
	add(&told, "one", NULL);
	worker.can_accept = 0;
	lending_give(&lending, &worker, "", "/public");
	heard_nothing();
	worker.can_accept = 1;
	control = worker.control.fd;
	worker.control.fd = -1;
	lending_give(&lending, &worker, "", "/public");
	worker.control.fd = control;
	heard_nothing();
	ck_assert_int_eq(worker.has_sockets, 0);
	lending_give(&lending, &worker, "", "/public");
	heard("one", 1);
	lending_give(&lending, &worker, "", "/public");
	heard_nothing();
	leave();
}
END_TEST

START_TEST(test_without_sockets_nothing_is_said)
{
	enter();
	lending_give(&lending, &worker, "", "/public");
	ck_assert_int_eq(worker.has_sockets, 0);
	heard_nothing();
	leave();
}
END_TEST

START_TEST(test_they_are_asked_back_once)
{
	json_t *message;
	int fds[2];

	enter();
	lending_take_back(&worker);
	heard_nothing();
	add(&told, "one", NULL);
	lending_give(&lending, &worker, "", "/public");
	heard("one", 1);
	lending_take_back(&worker);
	lending_take_back(&worker);
	ck_assert_int_eq(worker.has_sockets, 0);
	message = hear(fds);
	ck_assert_str_eq(link_string(message, "type"), "return");
	json_decref(message);
	heard_nothing();
	lending_give(&lending, &worker, "", "/public"); /* and lent again */
	heard("one", 1);
	leave();
}
END_TEST

START_TEST(test_who_could_be_told_of_some_only_is_asked_for_them)
{
	json_t *message;
	int fds[2], size = 1, n = 0;

	enter();
	for (int i = 0; i < LENDING_MOST; i++)
		add(&told, "one", NULL);
	ck_assert_int_eq(setsockopt(worker.control.fd, SOL_SOCKET, SO_SNDBUF,
			     &size, sizeof size),
	    0);
	lending_give(&lending, &worker, "", "/public");
	ck_assert_int_eq(worker.has_sockets, 1);
	for (; (message = hear(fds)) != NULL; n++) {
		json_decref(message);
		fd_close(&fds[0]);
		fd_close(&fds[1]);
	}
	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, LENDING_MOST);
	lending_take_back(&worker);
	ck_assert_ptr_nonnull(message = hear(fds));
	ck_assert_str_eq(link_string(message, "type"), "return");
	json_decref(message);
	leave();
}
END_TEST

START_TEST(test_what_does_not_fit_a_message_is_tried_once)
{
	static char *paths[LINK_MESSAGE_MOST / 100];
	size_t n = sizeof paths / sizeof paths[0];
	char name[120];

	enter();
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%0100zu", i);
		paths[i] = place(strdup(name), 100);
	}
	ck_assert_int_eq(lending_look(&lending, paths, n), 1);
	add(&told, "one", NULL);
	lending_give(&lending, &worker, "", "/public");
	heard_nothing();
	ck_assert_int_eq(worker.has_sockets, 0);
	ck_assert_int_eq(worker.can_accept, 0);
	ck_assert_int_eq(lending_look(&lending, paths, 1), 1);
	lending_give(&lending, &worker, "", "/public");
	heard_nothing();
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	leave();
}
END_TEST

START_TEST(test_no_more_than_so_many_are_kept)
{
	int own = scene_descriptors();

	enter();
	own = scene_descriptors();
	for (int i = 0; i < LENDING_MOST - 1; i++)
		add(&told, "one", NULL);
	ck_assert_uint_eq(lending.n, LENDING_MOST - 1);
	add(&told, "one", NULL);
	ck_assert_uint_eq(lending.n, LENDING_MOST);
	ck_assert_int_eq(scene_descriptors(), own + 2 * LENDING_MOST);
	add(&told, "one", NULL); /* closed */
	ck_assert_uint_eq(lending.n, LENDING_MOST);
	ck_assert_int_eq(scene_descriptors(), own + 2 * LENDING_MOST);
	ck_assert_int_eq(lending_drop(&lending, &told), LENDING_MOST);
	add(&told, "one", NULL); /* there is room again */
	ck_assert_uint_eq(lending.n, 1);
	leave();
}
END_TEST

START_TEST(test_what_one_owner_has_lent_goes_with_it)
{
	int a, b, own;

	enter();
	own = scene_descriptors();
	add(&a, "one", NULL);
	add(&b, "two", NULL);
	add(&a, "three", NULL);
	ck_assert_int_eq(lending_drop(&lending, &told), 0);
	ck_assert_int_eq(lending_drop(&lending, &a), 2);
	ck_assert_int_eq(lending_drop(&lending, &a), 0);
	ck_assert_uint_eq(lending.n, 1);
	ck_assert_int_eq(scene_descriptors(), own + 2);
	lending_give(&lending, &worker, "", "/public");
	heard("two", 2);
	heard_nothing();
	add(&a, "four", NULL); /* no number is given twice */
	lending_take_back(&worker);
	json_decref(hear((int[2]){ -1, -1 }));
	lending_give(&lending, &worker, "", "/public");
	heard("four", 4);
	heard("two", 2);
	ck_assert_int_eq(lending_drop(&lending, &b), 1);
	ck_assert_int_eq(lending_drop(&lending, &a), 1);
	ck_assert_ptr_null(lending.sockets);
	leave();
}
END_TEST

/* Only what it had bound itself: of the others there may be more users. */
START_TEST(test_what_a_dead_one_had_bound_is_shut_down)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int held[2], other, fds[2];
	json_t *message;

	enter();
	for (int i = 0; i < 2; i++) {
		snprintf(at.sun_path, sizeof at.sun_path, "s%d", i);
		fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(
		    bind(fds[0], (struct sockaddr *)&at, sizeof at), 0);
		ck_assert_int_eq(listen(fds[0], 1), 0);
		held[i] = dup(fds[0]); /* a worker has it */
		fds[1] = open("back", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		message = json_pack("{s:s, s:s, s:b}", "type", "socket",
		    "program", "mamayo", "bound", i == 1);
		lending_add(&lending, &told, message, fds);
		json_decref(message);
	}
	ck_assert_int_eq(lending_bury(&lending, &told), 2);
	for (int i = 0; i < 2; i++) {
		snprintf(at.sun_path, sizeof at.sun_path, "s%d", i);
		other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(
		    connect(other, (struct sockaddr *)&at, sizeof at), -i);
		close(other);
		close(held[i]);
	}
	leave();
}
END_TEST

START_TEST(test_places_that_were_changed_just_now_are_not_quiet)
{
	char *paths[2];

	enter();
	paths[0] = place("old", 100);
	paths[1] = place("new", 1);
	ck_assert_int_eq(lending_look(&lending, paths, 1), 1);
	ck_assert_uint_eq(lending.nplaces, 1);
	ck_assert_int_eq(lending_look(&lending, paths, 2), 0);
	ck_assert_int_eq(lending_look(&lending, paths + 1, 1), 0);
	/* nor are those of the future, and those that are not there */
	paths[1] = place("future", -100);
	ck_assert_int_eq(lending_look(&lending, paths, 2), 0);
	paths[1] = (char *)"nowhere";
	ck_assert_int_eq(lending_look(&lending, paths, 2), 0);
	ck_assert_int_eq(lending_look(&lending, paths, 1), 1);
	ck_assert_uint_eq(lending.nplaces, 1);
	leave();
}
END_TEST

START_TEST(test_no_places_are_quiet)
{
	enter();
	ck_assert_int_eq(lending_look(&lending, NULL, 0), 1);
	ck_assert_uint_eq(lending.nplaces, 0);
	leave();
}
END_TEST

START_TEST(test_nonsense_of_a_responder_is_a_socket_without_base)
{
	json_t *message = json_pack("{s:i, s:[]}", "program", 7, "base");
	int fds[2];

	enter();
	fds[0] = open("one", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	fds[1] = open("back", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	lending_add(&lending, &told, message, fds);
	json_decref(message);
	lending_give(&lending, &worker, "", "/public");
	heard("one", 1);
	leave();
}
END_TEST

SUITE("lending", test_a_worker_gets_every_socket_with_the_way_back,
    test_it_is_told_all_that_it_must_know, test_without_a_base_there_is_none,
    test_who_has_them_or_cannot_use_them_gets_none,
    test_without_sockets_nothing_is_said, test_they_are_asked_back_once,
    test_who_could_be_told_of_some_only_is_asked_for_them,
    test_what_does_not_fit_a_message_is_tried_once,
    test_no_more_than_so_many_are_kept,
    test_what_one_owner_has_lent_goes_with_it,
    test_what_a_dead_one_had_bound_is_shut_down,
    test_places_that_were_changed_just_now_are_not_quiet,
    test_no_places_are_quiet,
    test_nonsense_of_a_responder_is_a_socket_without_base);
