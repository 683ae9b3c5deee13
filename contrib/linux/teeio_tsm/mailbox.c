// SPDX-License-Identifier: GPL-2.0
/* Commands of the mailbox, and pages of its memory. */
#include "teeio_tsm.h"

static int rmp_update(struct teeio_tsm *t, u64 page, u32 how)
{
	iowrite32(lower_32_bits(page), t->regs + TSM_PAGE_LOW);
	iowrite32(upper_32_bits(page), t->regs + TSM_PAGE_HIGH);
	iowrite32(how, t->regs + TSM_RMP_UPDATE);
	return ioread32(t->regs + TSM_RMP_UPDATE) ? -EFAULT : 0;
}

static int issue(struct teeio_tsm *t, u32 number, const void *data, size_t len, u16 *status)
{
	u32 response;

	memcpy_toio(tsm_va(t, t->cmd_page), data, len);
	iowrite32(lower_32_bits(t->cmd_page), t->regs + TSM_BUFFER_LOW);
	iowrite32(upper_32_bits(t->cmd_page), t->regs + TSM_BUFFER_HIGH);
	iowrite32(number << TSM_COMMAND_SHIFT, t->regs + TSM_COMMAND);
	response = ioread32(t->regs + TSM_COMMAND);
	*status = RET_NONE;
	if (PCI_POSSIBLE_ERROR(response) || !(response & TSM_RESPONSE))
		return -ENXIO;
	*status = response;
	return *status ? -EIO : 0;
}

/* sev_do_cmd(): -EIO for any status but success; -ENXIO: nobody is there. */
int tsm_command(struct teeio_tsm *t, u32 number, const void *data, size_t len, u16 *status)
{
	u16 ignored;

	guard(mutex)(&t->lock);
	return issue(t, number, data, len, status ?: &ignored);
}

/* The server has ended, or its QEMU does not reach it. */
bool tsm_gone(struct teeio_tsm *t)
{
	return ioread32(t->regs + TSM_IDENTITY) != TSM_IDENTITY_VALUE;
}

void __iomem *tsm_va(struct teeio_tsm *t, u64 addr)
{
	return t->mem + (addr - gen_pool_virt_to_phys(t->pool, (unsigned long)t->mem));
}

static void *alloc_pages_of(struct teeio_tsm *t, u32 pages, u64 *addr)
{
	phys_addr_t dma = 0;
	void *va = (void *)gen_pool_alloc(t->pool, (size_t)pages << PAGE_SHIFT);

	if (!va)
		return NULL;
	dma = gen_pool_virt_to_phys(t->pool, (unsigned long)va);
	memset_io((void __iomem *)va, 0, (size_t)pages << PAGE_SHIFT);
	*addr = dma;
	return va;
}

static int make_firmware(struct teeio_tsm *t, u64 page)
{
	guard(mutex)(&t->lock);
	return rmp_update(t, page, TSM_RMP_FIRMWARE);
}

/* snp_reclaim_pages() */
static int reclaim(struct teeio_tsm *t, u64 page)
{
	__le64 operand = cpu_to_le64(page);
	u16 status;
	int rc;

	guard(mutex)(&t->lock);
	rc = issue(t, SNP_PAGE_RECLAIM, &operand, sizeof(operand), &status);
	if (!rc)
		rc = rmp_update(t, page, TSM_RMP_SHARED);
	if (rc)
		pci_warn(t->pdev, "the firmware keeps page %#llx: status %#x\n", page, status);
	return rc;
}

/* snp_alloc_firmware_page(); 0: none */
u64 tsm_page_alloc(struct teeio_tsm *t, bool firmware)
{
	u64 page;
	void *va = alloc_pages_of(t, 1, &page);

	if (!va)
		return 0;
	if (firmware && make_firmware(t, page)) {
		gen_pool_free(t->pool, (unsigned long)va, PAGE_SIZE);
		return 0;
	}
	return page;
}

/* A page that the firmware keeps is leaked. */
void tsm_page_free(struct teeio_tsm *t, u64 page, bool firmware)
{
	if (!page || (firmware && reclaim(t, page)))
		return;
	gen_pool_free(t->pool, (unsigned long)tsm_va(t, page), PAGE_SIZE);
}

/* sla_alloc(): one page, or a page that lists them. The header says how large it is. */
int tsm_buf_alloc(struct teeio_tsm *t, struct tsm_buf *buf, size_t bytes, bool firmware)
{
	u32 i;

	*buf = (struct tsm_buf){ .pages = DIV_ROUND_UP(bytes, PAGE_SIZE), .firmware = firmware };
	if (!buf->pages || buf->pages >= PAGE_SIZE / sizeof(u64))
		return -ENOMEM;
	buf->va = (void __iomem *)alloc_pages_of(t, buf->pages, &buf->addr);
	if (!buf->va)
		return -ENOMEM;
	buf->sla = buf->addr;
	if (buf->pages > 1) {
		buf->list = tsm_page_alloc(t, false);
		if (!buf->list)
			goto err;
		for (i = 0; i < buf->pages; i++)
			writeq(buf->addr + i * PAGE_SIZE, tsm_va(t, buf->list) + i * sizeof(u64));
		writeq(GENMASK_ULL(51, 12), tsm_va(t, buf->list) + i * sizeof(u64));
		buf->sla = buf->list | 1;
	}
	writel(buf->pages << PAGE_SHIFT, buf->va);
	for (i = 0; firmware && i < buf->pages; i++)
		if (make_firmware(t, buf->addr + i * PAGE_SIZE))
			goto err;
	return 0;
err:
	while (firmware && i--)
		if (reclaim(t, buf->addr + i * PAGE_SIZE))
			return -EFAULT;	/* leaked */
	buf->firmware = false;
	tsm_buf_free(t, buf);
	return -EFAULT;
}

void tsm_buf_free(struct teeio_tsm *t, struct tsm_buf *buf)
{
	bool kept = false;

	if (!buf->addr)
		return;
	for (u32 i = 0; buf->firmware && i < buf->pages; i++)
		kept |= reclaim(t, buf->addr + i * PAGE_SIZE) != 0;
	if (!kept)
		gen_pool_free(t->pool, (unsigned long)buf->va, (size_t)buf->pages << PAGE_SHIFT);
	tsm_page_free(t, buf->list, false);
	*buf = (struct tsm_buf){};
}

/* The mailbox's chart has what the core does, beside what the firmware is told. */
void tsm_call_begin(struct teeio_tsm *t, enum tsm_call call, struct pci_dev *pdev)
{
	iowrite32(call << 16 | pci_dev_id(pdev), t->regs + TSM_CALL);
}

void tsm_call_end(struct teeio_tsm *t, int rc)
{
	iowrite32(rc < 0 ? -rc : 0, t->regs + TSM_CALL_END);
}
