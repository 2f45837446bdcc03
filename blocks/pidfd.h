// <sys/pidfd.h> for C++: glibc 2.36 forgot to say that its functions are C.
#pragma once

extern "C" {
#include <sys/pidfd.h>
}
