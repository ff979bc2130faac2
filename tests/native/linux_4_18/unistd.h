// Without what glibc has had since 2.28.
#pragma once
#define gettid gettid_of_a_newer_libc
#define close_range close_range_of_a_newer_libc
#include_next <unistd.h>
#undef gettid
#undef close_range
