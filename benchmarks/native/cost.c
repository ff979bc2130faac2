// cost FILE COUNT PROGRAM ARGUMENT...: runs a program COUNT times and writes what each run used:
// microseconds of processor time and KiB of memory at most, a line each. A program of its own
// because the kernel counts what a process was before its exec as that process's memory: started
// from Python, /bin/true would have used 12 MiB.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long microseconds(struct timeval time) { return time.tv_sec * 1000000L + time.tv_usec; }

int main(int count, char** words) {
  if (count < 4) return 2;
  FILE* file = fopen(words[1], "w");
  if (!file) return perror(words[1]), 1;
  for (int runs = atoi(words[2]); runs > 0; runs--) {
    pid_t child = fork();
    if (child == 0) {
      dup2(open("/dev/null", O_WRONLY), 1);
      execvp(words[3], words + 3);
      _exit(127);
    }
    int status;
    struct rusage used;
    if (child < 0 || wait4(child, &status, 0, &used) < 0) return perror("wait4"), 1;
    if (status != 0) return fprintf(stderr, "%s: status %#x\n", words[3], status), 1;
    fprintf(file, "%ld %ld\n", microseconds(used.ru_utime) + microseconds(used.ru_stime),
            used.ru_maxrss);
  }
  return fclose(file) != 0;
}
