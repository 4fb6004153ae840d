// SPDX-License-Identifier: GPL-2.0
/* A mixed load from threads: processes, files, pipes, sockets, memory. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mfentry.h"

static bool stop;

static void check(long ret, const char *what)
{
	if (ret < 0)
		die("load: %s: %s", what, strerror(errno));
}

static void load_processes(void)
{
	pid_t pid = fork();

	check(pid, "fork");
	if (!pid)
		_exit(0);
	check(waitpid(pid, NULL, 0), "waitpid");
}

static void load_files(void)
{
	char buf[4096] = "";
	struct stat st;
	DIR *d;
	int fd;

	fd = memfd_create("mfentry", 0);
	check(fd, "memfd_create");
	check(pwrite(fd, buf, sizeof(buf), 8192), "write");
	check(pread(fd, buf, sizeof(buf), 0), "read");
	check(ftruncate(fd, 0), "ftruncate");
	close(fd);

	fd = open("/proc/self/stat", O_RDONLY);
	check(fd, "open");
	check(read(fd, buf, sizeof(buf)), "read");
	close(fd);
	check(stat("/", &st), "stat");

	d = opendir("/proc/self");
	if (d) {
		while (readdir(d))
			;
		closedir(d);
	}
}

static void load_pipes(void)
{
	char buf[512] = "";
	int p[2];

	check(pipe(p), "pipe");
	check(write(p[1], buf, sizeof(buf)), "write");
	check(read(p[0], buf, sizeof(buf)), "read");
	close(p[0]);
	close(p[1]);
	sched_yield();
}

static void unix_sockets(void)
{
	char buf[512] = "";
	int s[2];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, s), "socketpair");
	check(send(s[0], buf, sizeof(buf), 0), "send");
	check(recv(s[1], buf, sizeof(buf), 0), "recv");
	close(s[0]);
	close(s[1]);
}

/* A guest may have no loopback device that is up: what fails is load, too. */
static void load_sockets(void)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char buf[64] = "";
	int s;

	unix_sockets();
	s = socket(AF_INET, SOCK_DGRAM, 0);
	if (s >= 0) {
		sendto(s, buf, sizeof(buf), MSG_DONTWAIT, (void *)&to, sizeof(to));
		close(s);
	}
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s >= 0) {
		connect(s, (void *)&to, sizeof(to));
		close(s);
	}
}

static void load_memory(void)
{
	size_t i, len = 64 * 4096;
	char *p;

	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("load: mmap: %s", strerror(errno));
	for (i = 0; i < len; i += 4096)
		p[i] = 1;
	munmap(p, len);
}

static void (* const loads[])(void) = {
	load_processes, load_files, load_pipes, load_sockets, load_memory,
};

static pthread_t threads[ARRAY_SIZE(loads)];

static void *run(void *arg)
{
	void (*load)(void) = *(void (* const *)(void))arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		load();
	return NULL;
}

void load_start(void)
{
	size_t i;

	stop = false;
	for (i = 0; i < ARRAY_SIZE(loads); i++)
		if (pthread_create(&threads[i], NULL, run, (void *)&loads[i]))
			die("load: cannot start a thread");
}

void load_stop(void)
{
	size_t i;

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(loads); i++)
		pthread_join(threads[i], NULL);
}
