// SPDX-License-Identifier: GPL-2.0
/* Commands that talk to a device: sev_tio_do_cmd(), sev_tio_spdm_cmd(), sev_tio_continue(). */
#include <linux/slab.h>

#include "teeio_tsm.h"

/* struct sla_buffer_hdr, struct spdm_dobj_hdr_{req,resp}, as offsets in a buffer */
#define BUF_PAYLOAD	4
#define BUF_HEADER	64
#define DOBJ_ID		(BUF_HEADER + 0)
#define   DOBJ_REQUEST	1
#define   DOBJ_RESPONSE	2
#define DOBJ_LENGTH	(BUF_HEADER + 4)
#define DOBJ_MAJOR	(BUF_HEADER + 9)
#define DOBJ_TYPE	(BUF_HEADER + 10)
#define DOBJ_DATA	(BUF_HEADER + 16)
#define DOBJ_BYTES	16

int tsm_spdm_alloc(struct tsm_dsm *dsm)
{
	struct teeio_tsm *t = dsm->t;

	if (tsm_buf_alloc(t, &dsm->req, t->sizes.req, true) ||
	    tsm_buf_alloc(t, &dsm->rsp, t->sizes.req, false) ||
	    tsm_buf_alloc(t, &dsm->scratch, t->sizes.scratch, true) ||
	    tsm_buf_alloc(t, &dsm->out, t->sizes.out, true))
		return -ENOMEM;
	return 0;
}

void tsm_spdm_free(struct tsm_dsm *dsm)
{
	tsm_buf_free(dsm->t, &dsm->req);
	tsm_buf_free(dsm->t, &dsm->rsp);
	tsm_buf_free(dsm->t, &dsm->scratch);
	tsm_buf_free(dsm->t, &dsm->out);
}

static void put_answer(struct tsm_dsm *dsm, u8 type, const void *data, u32 len)
{
	void __iomem *va = dsm->rsp.va;
	u32 whole = len ? ALIGN(DOBJ_BYTES + len, 32) : DOBJ_BYTES;

	memset_io(va + DOBJ_ID, 0, DOBJ_BYTES);
	writel(DOBJ_RESPONSE, va + DOBJ_ID);
	writel(whole, va + DOBJ_LENGTH);
	writeb(1, va + DOBJ_MAJOR);
	writeb(type, va + DOBJ_TYPE);
	memcpy_toio(va + DOBJ_DATA, data, len);
	writel(whole, va + BUF_PAYLOAD);
}

/* Takes the firmware's data object through the core's DOE and brings the answer. */
static int carry(struct tsm_dsm *dsm)
{
	u32 room = (dsm->rsp.pages << PAGE_SHIFT) - DOBJ_DATA;
	u32 len = readl(dsm->req.va + DOBJ_LENGTH) - DOBJ_BYTES;
	u8 type = readb(dsm->req.va + DOBJ_TYPE);
	int rc;

	if (readl(dsm->req.va + DOBJ_ID) != DOBJ_REQUEST || len > room)
		return -EINVAL;

	void *req __free(kfree) = kzalloc(ALIGN(len, 4), GFP_KERNEL);
	void *rsp __free(kfree) = kzalloc(room, GFP_KERNEL);

	if (!req || !rsp)
		return -ENOMEM;
	memcpy_fromio(req, dsm->req.va + DOBJ_DATA, len);
	rc = pci_tsm_doe_transfer(dsm->tsm.base_tsm.pdev, type, req, ALIGN(len, 4), rsp, room);
	if (rc < 0)
		return rc;
	put_answer(dsm, type, rsp, min_t(u32, rc, room));
	return 0;
}

/* sla_expand(): 1: that buffer is large enough */
static int expand(struct tsm_dsm *dsm, struct tsm_buf *buf)
{
	u32 wanted = readl(buf->va);
	struct tsm_buf larger;
	int rc;

	if (wanted <= buf->pages << PAGE_SHIFT)
		return 1;
	rc = tsm_buf_alloc(dsm->t, &larger, wanted, true);
	if (rc)
		return rc;
	tsm_buf_free(dsm->t, buf);
	*buf = larger;
	return 0;
}

static int expand_any(struct tsm_dsm *dsm)
{
	int out = expand(dsm, &dsm->out);
	int scratch = out < 0 ? out : expand(dsm, &dsm->scratch);

	if (out < 0 || scratch < 0)
		return out < 0 ? out : scratch;
	return out && scratch ? -EFAULT : 0;
}

/*
 * As in sev-dev-tio.c the command is issued again until it is over. A device
 * that gives no answer is told to the firmware as an empty one, so that it
 * gives up, too.
 */
int tsm_spdm_command(struct tsm_dsm *dsm, u32 number, struct tsm_cmd *cmd, size_t len)
{
	int lost = 0, rc;

	cmd->length = cpu_to_le32(len);
	for (;;) {
		cmd->sla[0] = cpu_to_le64(dsm->req.sla);
		cmd->sla[1] = cpu_to_le64(dsm->rsp.sla);
		cmd->sla[2] = cpu_to_le64(dsm->scratch.sla);
		cmd->sla[3] = cpu_to_le64(dsm->out.sla);
		rc = tsm_command(dsm->t, number, cmd, len, &dsm->status);
		if (dsm->status == RET_EXPAND_BUFFER) {
			rc = expand_any(dsm);
			if (rc)
				return rc;
		} else if (dsm->status == RET_SPDM_REQUEST && !lost) {
			lost = carry(dsm);
			if (lost)
				put_answer(dsm, 0, NULL, 0);
		} else {
			return rc && lost ? lost : rc;
		}
	}
}
