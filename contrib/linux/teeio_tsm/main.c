// SPDX-License-Identifier: GPL-2.0
/* The mailbox function's driver: the firmware's start and end, and the TSM's. */
#include <linux/module.h>

#include "teeio_tsm.h"

#define VENDOR	0x1efe		/* not assigned in pci.ids */
#define DEVICE	0x0e10

/* A pool with pages that the firmware kept cannot be destroyed: gen_pool_destroy() is a BUG(). */
static void destroy_pool(void *data)
{
	struct gen_pool *pool = data;

	if (gen_pool_avail(pool) == gen_pool_size(pool))
		gen_pool_destroy(pool);
}

static int map(struct teeio_tsm *t, struct pci_dev *pdev)
{
	u64 base;
	u32 size;
	int rc;

	rc = pcim_enable_device(pdev);
	if (rc)
		return rc;
	t->regs = pcim_iomap_region(pdev, 0, "teeio_tsm");
	t->mem = pcim_iomap_region(pdev, 2, "teeio_tsm");
	if (IS_ERR(t->regs) || IS_ERR(t->mem))
		return -ENOMEM;
	if (tsm_gone(t) || ioread32(t->regs + TSM_VERSION) != TSM_VERSION_VALUE)
		return -ENODEV;
	base = ioread32(t->regs + TSM_MEMORY_LOW) |
	       (u64)ioread32(t->regs + TSM_MEMORY_HIGH) << 32;
	size = ioread32(t->regs + TSM_MEMORY_BYTES);
	if (size > pci_resource_len(pdev, 2))
		return -ENODEV;
	t->pool = gen_pool_create(PAGE_SHIFT, NUMA_NO_NODE);
	if (!t->pool)
		return -ENOMEM;
	rc = devm_add_action_or_reset(&pdev->dev, destroy_pool, t->pool);
	if (rc)
		return rc;
	rc = gen_pool_add_virt(t->pool, (unsigned long)t->mem, base, size, NUMA_NO_NODE);
	if (rc)
		return rc;
	t->cmd_page = tsm_page_alloc(t, false);
	return t->cmd_page ? 0 : -ENOMEM;
}

static int tio_status(struct teeio_tsm *t, u64 page)
{
	struct tsm_cmd cmd = { .length = cpu_to_le32(16) };
	void __iomem *va = tsm_va(t, page);
	u16 status;
	int rc;

	cmd.sla[0] = cpu_to_le64(page);
	rc = tsm_command(t, TIO_STATUS, &cmd, 16, &status);
	if (rc)
		return rc;
	t->sizes = (struct tsm_sizes){		/* struct sev_tio_status */
		.req = readl(va + 12), .scratch = readl(va + 20), .out = readl(va + 28),
		.dev_ctx = readl(va + 40), .tdi_ctx = readl(va + 44),
	};
	return readl(va + 4);
}

/* __sev_snp_init_locked(), sev_tio_init_locked() */
static int start_firmware(struct teeio_tsm *t)
{
	__le32 init[16] = { cpu_to_le32(SNP_INIT_RMP | SNP_INIT_TIO) };
	struct tsm_cmd tio = { .length = cpu_to_le32(16) };
	u16 status;
	u64 page;
	int rc;

	rc = tsm_command(t, SNP_INIT_EX, init, sizeof(init), &status);
	if (rc) {
		pci_err(t->pdev, "SNP_INIT_EX: status %#x\n", status);
		return rc;
	}
	page = tsm_page_alloc(t, true);
	if (!page)
		return -ENOMEM;
	rc = tio_status(t, page);
	if (rc >= 0)
		rc = !rc ? -ENOENT : rc & BIT(1) ? -EBUSY : 0;
	if (!rc)
		rc = tsm_command(t, TIO_INIT, &tio, 16, &status);
	if (!rc)
		rc = min(tio_status(t, page), 0);
	tsm_page_free(t, page, true);
	return rc;
}

/* __sev_snp_shutdown_locked() */
static void stop_firmware(struct teeio_tsm *t)
{
	__le32 shutdown[2] = { cpu_to_le32(sizeof(shutdown)) };
	u16 status;
	int rc;

	rc = tsm_command(t, SNP_SHUTDOWN_EX, shutdown, sizeof(shutdown), &status);
	if (rc && status == RET_DF_FLUSH_REQUIRED) {
		rc = tsm_command(t, SNP_DF_FLUSH, NULL, 0, &status);
		if (!rc)
			rc = tsm_command(t, SNP_SHUTDOWN_EX, shutdown, sizeof(shutdown), &status);
	}
	if (rc)
		pci_warn(t->pdev, "SNP_SHUTDOWN_EX: status %#x\n", status);
}

static int teeio_tsm_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct teeio_tsm *t = devm_kzalloc(&pdev->dev, sizeof(*t), GFP_KERNEL);
	int rc;

	if (!t)
		return -ENOMEM;
	t->pdev = pdev;
	mutex_init(&t->lock);
	ida_init(&t->streams);
	pci_set_drvdata(pdev, t);
	rc = map(t, pdev);
	if (rc)
		return rc;
	rc = start_firmware(t);
	if (!rc)
		rc = tsm_caller_create(t);
	if (rc)
		goto err;
	t->tsm_dev = tsm_register(&pdev->dev, &teeio_tsm_ops);
	if (IS_ERR(t->tsm_dev)) {
		rc = PTR_ERR(t->tsm_dev);
		tsm_caller_destroy(t);
		tsm_caller_forget_guest(t);
		goto err;
	}
	pci_info(pdev, "%s: contexts of %u and %u bytes\n", dev_name(&t->tsm_dev->dev),
		 t->sizes.dev_ctx, t->sizes.tdi_ctx);
	return 0;
err:
	stop_firmware(t);
	tsm_page_free(t, t->cmd_page, false);
	return rc;
}

/* The core unbinds and disconnects what there is. */
static void teeio_tsm_remove(struct pci_dev *pdev)
{
	struct teeio_tsm *t = pci_get_drvdata(pdev);

	tsm_caller_destroy(t);
	tsm_unregister(t->tsm_dev);
	tsm_caller_forget_guest(t);
	stop_firmware(t);
	tsm_page_free(t, t->cmd_page, false);
	ida_destroy(&t->streams);
}

static const struct pci_device_id teeio_tsm_ids[] = {
	{ PCI_DEVICE(VENDOR, DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, teeio_tsm_ids);

static struct pci_driver teeio_tsm_driver = {
	.name = "teeio_tsm",
	.id_table = teeio_tsm_ids,
	.probe = teeio_tsm_probe,
	.remove = teeio_tsm_remove,
};
module_pci_driver(teeio_tsm_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("PCI/TSM link TSM behind teeio's mailbox function");
