/* A DPDK application: EAL takes the function by container and group, and its DMA engine fills
 * memory of EAL's. Registers: docs/devices/dma-engine.md. Built by dpdk_eal.sh. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_vfio.h>

static int fd;

static uint32_t get(off_t at) {
  uint32_t value = 0;
  if (pread(fd, &value, sizeof(value), at) != sizeof(value)) perror("pread");
  return value;
}

static void set(off_t at, uint32_t value) {
  if (pwrite(fd, &value, sizeof(value), at) != sizeof(value)) perror("pwrite");
}

struct descriptor {
  uint32_t flags, length;
  uint64_t source, destination;
  uint32_t status, zero;
};

int main(int argc, char** argv) {
  struct vfio_device_info info = {.argsz = sizeof(info)};
  const char* bdf = "0000:01:00.1";
  if (rte_eal_init(argc, argv) < 0) {
    printf("rte_eal_init: %s\n", rte_strerror(rte_errno));
    return 1;
  }
  printf("vfio is %s\n", rte_vfio_is_enabled("vfio") ? "enabled" : "not enabled");
  const int taken = rte_vfio_setup_device("/sys/bus/pci/devices", bdf, &fd, &info);
  printf("rte_vfio_setup_device: %d, %u regions\n", taken, info.num_regions);
  if (taken != 0) return 1;

  struct vfio_region_info config = {.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX};
  const uint16_t command = 6;
  if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &config) != 0 ||
      pwrite(fd, &command, sizeof(command), (off_t)config.offset + 4) != sizeof(command))
    perror("command register");
  printf("ID %08x\n", get(0));

  struct descriptor* ring = rte_zmalloc(NULL, 4096, 4096);
  uint64_t* page = rte_zmalloc(NULL, 4096, 4096);
  const uint64_t at = rte_malloc_virt2iova(ring);
  ring->flags = 2;
  ring->length = 4096;
  ring->source = UINT64_C(0x1122334455667788);
  ring->destination = rte_malloc_virt2iova(page);
  set(0x08, 2);
  set(0x10, (uint32_t)at);
  set(0x14, (uint32_t)(at >> 32));
  set(0x18, 2);
  set(0x08, 1);
  set(0x24, 1);
  printf("ERROR %u, filled with %" PRIx64 "\n", get(0x28), page[511]);
  set(0x08, 2);
  printf("rte_vfio_release_device: %d\n", rte_vfio_release_device("/sys/bus/pci/devices", bdf, fd));
  rte_eal_cleanup();
  return 0;
}
