// A program that dies by signal n leaves 128 + n.
// status: 143
#include "programs/check.h"
int main() { kill(getpid(), SIGTERM); }
