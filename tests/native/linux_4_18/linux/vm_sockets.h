#pragma once
#include_next <linux/vm_sockets.h>
#undef VMADDR_CID_LOCAL
