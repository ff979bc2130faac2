// sockaddr_vm and its constants. The kernel's header of 6.1 does not compile without the other,
// which has to come first.
#pragma once

// clang-format off
#include <sys/socket.h>
#include <linux/vm_sockets.h>
// clang-format on
