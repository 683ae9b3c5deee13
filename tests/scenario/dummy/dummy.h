#pragma once
/* The dummy machine as a program sees it. */
#include <linux/ioctl.h>
#include <stdint.h>

#define DUMMY_DEVICE "/dev/vfio/devices/vfio0"
#define DUMMY_FUNCTION "/sys/bus/pci/devices/0000:01:00.0"

struct dummy_pair {
  uint64_t in;
  uint64_t out;
};
struct dummy_range {
  uint64_t address;
  uint64_t size;
};

#define DUMMY_ECHO _IO(';', 100)     /* struct dummy_pair: out = in + 1 */
#define DUMMY_OPEN _IO(';', 101)     /* returns how many files are open now */
#define DUMMY_RELEASED _IO(';', 102) /* returns how many were released so far */
#define DUMMY_SERIAL _IO(';', 103)   /* returns the number of this open file, from 1 */
#define DUMMY_MAKE _IO(';', 104)     /* returns a new descriptor, for DUMMY_BLOCK */
#define DUMMY_KICK _IO(';', 105)     /* ends every DUMMY_BLOCK */
#define DUMMY_REVOKE _IO(';', 106)   /* takes the mapped window away */
#define DUMMY_RESTORE _IO(';', 107)  /* gives it back */
#define DUMMY_SIGNAL _IO(';', 108)   /* argument: an eventfd to signal */
#define DUMMY_PIN _IO(';', 109)      /* struct dummy_range; returns 1 if it can be mapped */
#define DUMMY_DMA _IO(';', 110)      /* fills the pinned memory with 0xd0 */
#define DUMMY_MEMFD _IO(';', 111)    /* argument: a memfd; pins its first page */
#define DUMMY_MM _IO(';', 112)       /* returns the number of the address space */
#define DUMMY_BLOCKED _IO(';', 113)  /* returns how many DUMMY_BLOCKs wait */
#define DUMMY_BLOCK _IO(0xAE, 0x80)  /* waits: 0 after a kick, EINTR after a signal */

#define DUMMY_BAR_OFFSET (2ULL << 40) /* one page of memory */
#define DUMMY_BAR_SIZE 4096
