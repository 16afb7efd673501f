/*
 * The command under each init. It is in C because it has to be small and static, and has to fork.
 *
 *   exit CODE            exit with CODE
 *   faults WHOSE         write how many page faults there were until now, its own and those of its parent (WHOSE is `both`, or `own`)
 *   idle                 wait
 *   signals              write one byte for every USR1
 *   orphans COUNT BURST  on every byte of input make COUNT orphans, BURST at a time; write how long they lived
 *   children COUNT       have COUNT children, and like them die of TERM
 *   deaf COUNT           have COUNT children, and like them keep TERM pending; write one byte for the first one
 *
 * All but `exit` and `faults` write a line when they are ready (or `cannot` where there cannot be so many children) and end when their standard input does, or with their parent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* An orphan that is still there after this time will not be reaped. */
#define PATIENCE_NS 2000000000LL
/* Between two looks the processor is the init's: they may share it. */
#define PAUSE_NS 100000L

struct burst {
	long long left_at;
	pid_t pids[];
};

static void say(const char *text)
{
	size_t length = strlen(text);
	if (write(1, text, length) != (ssize_t)length)
		_exit(1);
}

static int input_has_ended(void)
{
	char byte;
	ssize_t got;
	while ((got = read(0, &byte, 1)) < 0 && errno == EINTR)
		;
	return got != 1;
}

static long long now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int wait_for_end(void)
{
	while (!input_has_ended())
		;
	return 0;
}

/* Fields 10 and 12 of proc_pid_stat(5): those without and with the disk. 0 where there is no such process. */
static long faults_of(long pid)
{
	char path[64], stat[1024], *rest;
	long minor = 0, major = 0;
	snprintf(path, sizeof path, "/proc/%ld/stat", pid);
	int file = open(path, O_RDONLY);
	ssize_t got = file < 0 ? 0 : read(file, stat, sizeof stat - 1);
	stat[got < 0 ? 0 : got] = 0;
	if ((rest = strrchr(stat, ')')))
		sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %ld %*d %ld", &minor, &major);
	return minor + major;
}

static int faults(int both)
{
	/* First its own: the rest of this takes some, too. */
	long count = faults_of(getpid());
	if (both)
		count += faults_of(getppid());
	return printf("%ld\n", count) < 0 || fflush(stdout) != 0;
}

static int idle(void)
{
	say("ready\n");
	return wait_for_end();
}

/* The end of the input arrives as a signal too, so that one wait does for both. */
static int signals(void)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fcntl(0, F_SETOWN, getpid());
	fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_ASYNC);
	say("ready\n");
	while (poll(&input, 1, 0) == 0)
		while (sigwaitinfo(&set, NULL) == SIGUSR1)
			say(".");
	return 0;
}

static pid_t short_lived(void)
{
	pid_t pid = vfork();
	if (pid == 0)
		_exit(0);
	return pid;
}

/* The children are zombies when they become orphans: an init has them all at once. */
static void leave_orphans(struct burst *burst, long count)
{
	for (long i = 0; i < count; i++) {
		burst->pids[i] = short_lived();
		if (burst->pids[i] < 0)
			_exit(1);
	}
	burst->left_at = now_ns();
	_exit(0);
}

/* Whether all of them are gone in time. */
static int are_reaped(const struct burst *burst, long count)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	for (long i = 0; i < count; i++)
		while (kill(burst->pids[i], 0) == 0) {
			if (now_ns() - burst->left_at > PATIENCE_NS)
				return 0;
			nanosleep(&pause, NULL);
		}
	return 1;
}

static int orphans(long count, long size)
{
	struct burst *burst = mmap(NULL, sizeof(*burst) + (size_t)size * sizeof(pid_t), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long long lived_ns = 0;
	char line[64];
	int reaped = 1, status;
	if (burst == MAP_FAILED)
		return 1;
	prctl(PR_SET_TIMERSLACK, 1UL);
	say("ready\n");
	while (!input_has_ended()) {
		lived_ns = 0;
		for (long made = 0; made < count && reaped; made += size) {
			pid_t middle = fork();
			if (middle == 0)
				leave_orphans(burst, size);
			if (middle < 0 || waitpid(middle, &status, 0) != middle || status != 0)
				return 1;
			reaped = are_reaped(burst, size);
			lived_ns += now_ns() - burst->left_at;
		}
		snprintf(line, sizeof(line), "%lld\n", lived_ns);
		say(line);
	}
	return 0;
}

/* Kills those that are there where there cannot be as many. */
static void have_children(long count)
{
	pid_t self = getpid();
	for (long i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (getppid() == self)
				pause();
			_exit(0);
		}
		if (pid < 0) {
			say("cannot\n");
			_exit(1);
		}
	}
	say("ready\n");
}

static int children(long count)
{
	have_children(count);
	return wait_for_end();
}

static int deaf(long count)
{
	sigset_t set;
	int number;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	have_children(count);
	if (sigwait(&set, &number) == 0)
		say(".");
	return wait_for_end();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(mode, "exit") == 0 && argc == 3)
		return atoi(argv[2]);
	if (strcmp(mode, "faults") == 0 && argc == 3)
		return faults(strcmp(argv[2], "both") == 0);
	if (strcmp(mode, "idle") == 0)
		return idle();
	if (strcmp(mode, "signals") == 0)
		return signals();
	if (strcmp(mode, "orphans") == 0 && argc == 4)
		return orphans(atol(argv[2]), atol(argv[3]));
	if (strcmp(mode, "children") == 0 && argc == 3)
		return children(atol(argv[2]));
	if (strcmp(mode, "deaf") == 0 && argc == 3)
		return deaf(atol(argv[2]));
	return 2;
}
