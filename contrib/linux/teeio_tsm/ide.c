// SPDX-License-Identifier: GPL-2.0
/*
 * A selective IDE stream at both ends. Where both ports have IDE this is
 * pci_ide_stream_{alloc,setup,enable,teardown}() of drivers/pci/ide.c. QEMU's
 * root port has none, so that the kernel forgets the end point's, too
 * (pci_ide_init()): the mailbox has the registers of a port in its place, and
 * the end point's are written here.
 */
#include <linux/bitfield.h>

#include "teeio_tsm.h"

#define STREAM_MAX	254	/* 255 is PCI_IDE_RESERVED_STREAM_ID */

/* One end: the end point's registers, or the port's in the mailbox. */
struct ide_end {
	struct teeio_tsm *t;
	struct pci_dev *pdev;	/* NULL: the port */
	u16 cap;
};

static u32 get(const struct ide_end *end, u16 at)
{
	u32 value = ~0;

	if (end->pdev)
		pci_read_config_dword(end->pdev, at, &value);
	else
		value = ioread32(end->t->regs + TSM_PORT_CONFIG + at);
	return value;
}

static void put(const struct ide_end *end, u16 at, u32 value)
{
	if (end->pdev)
		pci_write_config_dword(end->pdev, at, value);
	else
		iowrite32(value, end->t->regs + TSM_PORT_CONFIG + at);
}

u8 tsm_port_number(struct pci_dev *pdev)
{
	u32 lnkcap = 0;

	pcie_capability_read_dword(pcie_find_root_port(pdev), PCI_EXP_LNKCAP, &lnkcap);
	return FIELD_GET(PCI_EXP_LNKCAP_PN, lnkcap);
}

static struct ide_end end_point(struct tsm_dsm *dsm)
{
	struct pci_dev *pdev = dsm->tsm.base_tsm.pdev;

	return (struct ide_end){ .t = dsm->t, .pdev = pdev,
		.cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_IDE) };
}

static struct ide_end root_port(struct tsm_dsm *dsm)
{
	struct ide_end end = { .t = dsm->t };
	u16 at = PCI_CFG_SPACE_SIZE;
	u32 header;

	iowrite32(tsm_port_number(dsm->tsm.base_tsm.pdev), dsm->t->regs + TSM_PORT);
	for (int n = 0; n < 64 && at >= PCI_CFG_SPACE_SIZE; n++) {
		header = get(&end, at);
		if (PCI_POSSIBLE_ERROR(header))
			break;
		if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_IDE) {
			end.cap = at;
			break;
		}
		at = PCI_EXT_CAP_NEXT(header);
	}
	return end;
}

/* The first selective block that is free (id < 0), or has that stream; 0: none */
static u16 find_block(const struct ide_end *end, int id)
{
	u32 cap = get(end, end->cap + PCI_IDE_CAP);
	u16 at = end->cap + PCI_IDE_LINK_STREAM_0;

	if (!end->cap || !(cap & PCI_IDE_CAP_SELECTIVE))
		return 0;
	if (cap & PCI_IDE_CAP_LINK)
		at += (FIELD_GET(PCI_IDE_CAP_LINK_TC_NUM, cap) + 1) * PCI_IDE_LINK_BLOCK_SIZE;
	for (int n = 0; n <= FIELD_GET(PCI_IDE_CAP_SEL_NUM, cap); n++) {
		bool used = get(end, at + PCI_IDE_SEL_RID_2) & PCI_IDE_SEL_RID_2_VALID;
		u32 ctl = get(end, at + PCI_IDE_SEL_CTL);

		if (id < 0 ? !used : used && FIELD_GET(PCI_IDE_SEL_CTL_ID, ctl) == id)
			return at;
		at += PCI_IDE_SEL_BLOCK_SIZE(FIELD_GET(PCI_IDE_SEL_CAP_ASSOC_NUM,
						       get(end, at + PCI_IDE_SEL_CAP)));
	}
	return 0;
}

/* An association with every requester, as stream_setup() of sev-dev-tsm.c. */
static int setup(const struct ide_end *end, u8 id, u32 control)
{
	u16 at = find_block(end, -1);

	if (!at)
		return end->cap ? -EBUSY : -ENXIO;
	put(end, at + PCI_IDE_SEL_RID_1, FIELD_PREP(PCI_IDE_SEL_RID_1_LIMIT, 0xffff));
	put(end, at + PCI_IDE_SEL_RID_2, PCI_IDE_SEL_RID_2_VALID);
	put(end, at + PCI_IDE_SEL_CTL, FIELD_PREP(PCI_IDE_SEL_CTL_ID, id) | control);
	return 0;
}

static void enable(const struct ide_end *end, u8 id)
{
	u16 at = find_block(end, id);

	if (at)
		put(end, at + PCI_IDE_SEL_CTL, get(end, at + PCI_IDE_SEL_CTL) | PCI_IDE_SEL_CTL_EN);
}

static void teardown(const struct ide_end *end, u8 id)
{
	u16 at = find_block(end, id);

	if (!at)
		return;
	put(end, at + PCI_IDE_SEL_CTL, 0);
	put(end, at + PCI_IDE_SEL_RID_2, 0);
	put(end, at + PCI_IDE_SEL_RID_1, 0);
}

int tsm_stream_setup(struct tsm_dsm *dsm)
{
	struct ide_end ep = end_point(dsm), rp = root_port(dsm);
	int rc;

	dsm->stream = ida_alloc_max(&dsm->t->streams, STREAM_MAX, GFP_KERNEL);
	if (dsm->stream < 0)
		return dsm->stream;
	rc = setup(&ep, dsm->stream, PCI_IDE_SEL_CTL_DEFAULT | PCI_IDE_SEL_CTL_TEE_LIMITED);
	if (rc)
		return rc;
	dsm->ep_set = true;
	rc = setup(&rp, dsm->stream, PCI_IDE_SEL_CTL_CFG_EN);
	dsm->rp_set = !rc;
	return rc;
}

void tsm_stream_enable(struct tsm_dsm *dsm)
{
	struct ide_end ep = end_point(dsm), rp = root_port(dsm);

	enable(&ep, dsm->stream);
	enable(&rp, dsm->stream);
}

void tsm_stream_teardown(struct tsm_dsm *dsm)
{
	struct ide_end ep = end_point(dsm), rp = root_port(dsm);

	if (dsm->stream < 0)
		return;
	if (dsm->ep_set)
		teardown(&ep, dsm->stream);
	if (dsm->rp_set)
		teardown(&rp, dsm->stream);
	ida_free(&dsm->t->streams, dsm->stream);
	dsm->stream = -1;
	dsm->ep_set = dsm->rp_set = false;
}
