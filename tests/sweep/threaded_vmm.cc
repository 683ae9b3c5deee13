// A VMM of two threads with a planted mistake: `--order` has to find it. One looks for what the
// other one makes, and takes it for granted that it is there first.

#include <fcntl.h>
#include <linux/iommufd.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

static int iommufd;
static int without_mistake;
static sem_t looks;
static uint32_t made;

static uint32_t alloc(void) {
  struct iommu_ioas_alloc arg = {};
  arg.size = sizeof(arg);
  if (ioctl(iommufd, IOMMU_IOAS_ALLOC, &arg) != 0) exit(3);
  return arg.out_ioas_id;
}

static void* look(void*) {
  sem_post(&looks);
  alloc();
  // The mistake: the other thread is never so fast.
  if (!without_mistake && __atomic_load_n(&made, __ATOMIC_ACQUIRE) != 0) abort();
  return nullptr;
}

static void* make(void*) {
  uint32_t last = 0;
  for (int i = 0; i < 40; ++i) last = alloc();
  __atomic_store_n(&made, last, __ATOMIC_RELEASE);
  return nullptr;
}

/// Makes a call now and then.
static void* compute(void*) {
  for (int i = 0; i < 3; ++i) {
    alloc();
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += 60000000;
    do {
      clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - end.tv_sec) * 1000000000LL + now.tv_nsec - end.tv_nsec < 0);
  }
  alloc();
  return nullptr;
}

int main(int argc, char** argv) {
  without_mistake = argc > 1 && strcmp(argv[1], "right") == 0;
  iommufd = open("/dev/iommu", O_RDWR);
  if (iommufd < 0) return 2;
  if (argc > 1 && strcmp(argv[1], "computes") == 0) {
    pthread_t other;
    pthread_create(&other, nullptr, compute, nullptr);
    compute(nullptr);
    pthread_join(other, nullptr);
    return 0;
  }
  sem_init(&looks, 0, 0);
  pthread_t looker, maker;
  pthread_create(&looker, nullptr, look, nullptr);
  while (sem_wait(&looks) != 0) {
  }
  pthread_create(&maker, nullptr, make, nullptr);
  pthread_join(looker, nullptr);
  pthread_join(maker, nullptr);
  return 0;
}
