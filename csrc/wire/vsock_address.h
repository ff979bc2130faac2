// sockaddr_vm and its constants, for all that opens vsock sockets. The kernel's vsock header of
// Linux 6.1 does not compile without <sys/socket.h>, which has to come first.
#pragma once

// clang-format off
#include <sys/socket.h>
#include <linux/vm_sockets.h>
// clang-format on
