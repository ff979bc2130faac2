/* A program with as many ways to meet a host on vsock as tests need: vsock MODE. Each mode prints
   what it saw; exit code 0 if that is what a program in a virtual machine sees. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOST 0
#define RPCI 976

#define EXPECT(what)                                              \
  do {                                                            \
    if (!(what)) {                                                \
      printf("bad, line %d: %s (%s)\n", __LINE__, #what, strerror(errno)); \
      fflush(stdout);                                             \
      return 1;                                                   \
    }                                                             \
  } while (0)
#define FAILS_WITH(error, call) EXPECT((call) == -1 && errno == (error))

static struct sockaddr_vm address(unsigned cid, unsigned port) {
  struct sockaddr_vm made = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
  return made;
}

static int bind_to(int fd, unsigned port) {
  struct sockaddr_vm here = address(VMADDR_CID_ANY, port);
  return bind(fd, (struct sockaddr*)&here, sizeof here);
}

static int connect_to(int fd, unsigned cid, unsigned port) {
  struct sockaddr_vm there = address(cid, port);
  return connect(fd, (struct sockaddr*)&there, sizeof there);
}

static int stream(void) { return socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0); }

/* Sends one request, sees that the answer is a success. */
static int ask(int fd, const char* request) {
  unsigned size = (unsigned)strlen(request);
  unsigned head[] = {htonl(28 + size), htonl(1), htonl(1), htonl(1), 0,
                     htonl(2),         htonl(2), htonl(size)};
  char packet[512], answer[512];
  memcpy(packet, head, sizeof head);
  memcpy(packet + sizeof head, request, size);
  if (write(fd, packet, sizeof head + size) != (ssize_t)(sizeof head + size)) return -1;
  ssize_t got = 0;
  while (got < 34) {
    ssize_t more = read(fd, answer + got, sizeof answer - (size_t)got);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) return -1;
    got += more;
  }
  return answer[32] == '1' && answer[33] == ' ' ? 0 : -1;
}

static int talk(const char* request) {
  int fd = stream();
  EXPECT(fd >= 0);
  EXPECT(connect_to(fd, HOST, RPCI) == 0);
  EXPECT(ask(fd, request) == 0);
  close(fd);
  return 0;
}

static int plain(void) {
  int fd = stream();
  struct sockaddr_vm name;
  socklen_t size = sizeof name;
  EXPECT(fcntl(fd, F_GETFD) == FD_CLOEXEC);
  unsigned long long bytes = 65536;
  EXPECT(setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &bytes, sizeof bytes) == 0);
  EXPECT(bind_to(fd, 900) == 0);
  EXPECT(connect_to(fd, HOST, RPCI) == 0);
  EXPECT(getsockname(fd, (struct sockaddr*)&name, &size) == 0);
  EXPECT(size == sizeof name && name.svm_family == AF_VSOCK && name.svm_port == 900);
  EXPECT(getpeername(fd, (struct sockaddr*)&name, &size) == 0);
  EXPECT(name.svm_family == AF_VSOCK && name.svm_cid == HOST && name.svm_port == RPCI);
  EXPECT(ask(fd, "log privileged") == 0);
  int second = socket(AF_VSOCK, SOCK_STREAM, 0);
  EXPECT(fcntl(second, F_GETFD) == 0);
  FAILS_WITH(EADDRINUSE, bind_to(second, 900));
  EXPECT(connect_to(second, VMADDR_CID_HOST, RPCI) == 0);
  EXPECT(getsockname(second, (struct sockaddr*)&name, &size) == 0 && name.svm_port >= 1024);
  EXPECT(ask(second, "log unprivileged") == 0);
  FAILS_WITH(EISCONN, connect_to(second, HOST, RPCI));
  return 0;
}

static int refused(void) {
  FAILS_WITH(ECONNRESET, connect_to(stream(), HOST, 4711));
  FAILS_WITH(ENODEV, connect_to(stream(), 77, RPCI));
  FAILS_WITH(EPROTONOSUPPORT, socket(AF_VSOCK, SOCK_STREAM, 1));
  FAILS_WITH(EBADF, connect_to(1000, HOST, RPCI));
  FAILS_WITH(ENOSYS, (int)syscall(SYS_io_uring_setup, 1, NULL));
  return 0;
}

static int unprivileged(void) {
  EXPECT(setgid(65534) == 0 && setuid(65534) == 0);
  FAILS_WITH(EACCES, bind_to(stream(), 1023));
  EXPECT(bind_to(stream(), 1024) == 0);
  return talk("log nobody");
}

static int nonblocking(void) {
  int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);
  EXPECT((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  FAILS_WITH(EINPROGRESS, connect_to(fd, HOST, RPCI));
  struct pollfd writable = {fd, POLLOUT, 0};
  EXPECT(poll(&writable, 1, 5000) == 1 && writable.revents == POLLOUT);
  int error = -1;
  socklen_t size = sizeof error;
  EXPECT(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
  fcntl(fd, F_SETFL, 0);
  return ask(fd, "log nonblocking");
}

static int others(void) {
  struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "\0vmtpy-guest-others"};
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT(bind(server, (struct sockaddr*)&path, sizeof path) == 0 && listen(server, 1) == 0);
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT(connect(client, (struct sockaddr*)&path, sizeof path) == 0);
  struct sockaddr_un name;
  socklen_t size = sizeof name;
  EXPECT(getpeername(client, (struct sockaddr*)&name, &size) == 0);
  EXPECT(size == sizeof path && memcmp(&name, &path, size) == 0);
  size = sizeof name;
  EXPECT(getsockname(client, (struct sockaddr*)&name, &size) == 0 && size == sizeof(sa_family_t));
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int inet = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT(bind(inet, (struct sockaddr*)&local, sizeof local) == 0);
  size = sizeof local;
  EXPECT(getsockname(inet, (struct sockaddr*)&local, &size) == 0 && local.sin_port != 0);
  EXPECT(connect_to(inet, HOST, RPCI) == -1 && errno != ENODEV);
  int value = 0;
  FAILS_WITH(ENOTTY, ioctl(inet, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &value));
  return 0;
}

static void* talk_often(void* unused) {
  (void)unused;
  for (int i = 0; i < 25; ++i) {
    if (talk("log thread") != 0) return (void*)1;
  }
  return NULL;
}

static int threads(void) {
  pthread_t thread[8];
  for (int i = 0; i < 8; ++i) pthread_create(&thread[i], NULL, talk_often, NULL);
  void* bad = NULL;
  for (int i = 0; i < 8; ++i) {
    void* result;
    pthread_join(thread[i], &result);
    if (result) bad = result;
  }
  return bad != NULL;
}

static int forks(void) {
  int fd = stream();
  EXPECT(connect_to(fd, HOST, RPCI) == 0);
  for (int i = 0; i < 5; ++i) {
    pid_t child = fork();
    if (child == 0) {
      int bad = ask(fd, "log inherited") != 0 || talk("log child") != 0;
      if (i == 4 && !bad) execl("/proc/self/exe", "vsock", "talk", NULL);
      _exit(bad);
    }
    int status = -1;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
  }
  return 0;
}

/* The first thread of a process ends, another goes on and has descriptors of its own. */
static void* survivor(void* unused) {
  (void)unused;
  usleep(20000);
  if (unshare(CLONE_FILES) != 0) _exit(3);
  int bad = talk("log survivor");
  if (!bad) printf("good\n");
  fflush(stdout);
  _exit(bad);
}

static int leader_ends(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, survivor, NULL);
  pthread_exit(NULL);
}

static void interrupted(int number) { (void)number; }

static int signals(void) {
  struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval often = {{0, 300}, {0, 300}};
  setitimer(ITIMER_REAL, &often, NULL);
  for (int i = 0; i < 300; ++i) {
    if (talk("log interrupted") != 0) return 1;
  }
  return 0;
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    int (*run)(void);
  } MODES[] = {
      {"plain", plain},     {"refused", refused}, {"unprivileged", unprivileged},
      {"others", others},   {"threads", threads}, {"nonblocking", nonblocking},
      {"forks", forks},     {"signals", signals}, {"leader_ends", leader_ends},
  };
  if (argc < 2) return 2;
  if (strcmp(argv[1], "talk") == 0) return talk("log exec");
  for (size_t i = 0; i < sizeof MODES / sizeof *MODES; ++i) {
    if (strcmp(MODES[i].name, argv[1]) != 0) continue;
    int bad = MODES[i].run();
    printf(bad ? "bad\n" : "good\n");
    return bad;
  }
  return 2;
}
