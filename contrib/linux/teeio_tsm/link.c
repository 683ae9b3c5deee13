// SPDX-License-Identifier: GPL-2.0
/* PCI/TSM's link operations: dsm_*() of sev-dev-tsm.c, tdi_*() of AMDESE/linux-kvm's. */
#include <linux/slab.h>
#include <linux/unaligned.h>

#include "teeio_tsm.h"

static struct teeio_tsm *to_teeio_tsm(struct tsm_dev *tsm_dev)
{
	return dev_get_drvdata(tsm_dev->dev.parent);
}

static struct tsm_dsm *to_dsm(struct pci_dev *pf0)
{
	return container_of(pf0->tsm, struct tsm_dsm, tsm.base_tsm);
}

static struct pci_tsm *probe_pf0(struct teeio_tsm *t, struct pci_dev *pdev, struct tsm_dev *tsm_dev)
{
	struct tsm_dsm *dsm __free(kfree) = kzalloc(sizeof(*dsm), GFP_KERNEL);

	if (!dsm || pci_tsm_pf0_constructor(pdev, &dsm->tsm, tsm_dev))
		return NULL;
	dsm->t = t;
	dsm->stream = -1;
	return &no_free_ptr(dsm)->tsm.base_tsm;
}

static struct pci_tsm *probe_function(struct pci_dev *pdev, struct tsm_dev *tsm_dev)
{
	struct pci_tsm *tsm __free(kfree) = kzalloc(sizeof(*tsm), GFP_KERNEL);

	if (!tsm || pci_tsm_link_constructor(pdev, tsm, tsm_dev))
		return NULL;
	return no_free_ptr(tsm);
}

static struct pci_tsm *link_probe(struct tsm_dev *tsm_dev, struct pci_dev *pdev)
{
	struct teeio_tsm *t = to_teeio_tsm(tsm_dev);
	struct pci_tsm *tsm;

	tsm_call_begin(t, CALL_PROBE, pdev);
	tsm = is_pci_tsm_pf0(pdev) ? probe_pf0(t, pdev, tsm_dev) : probe_function(pdev, tsm_dev);
	tsm_call_end(t, tsm ? 0 : -ENXIO);
	return tsm;
}

static void link_remove(struct pci_tsm *tsm)
{
	struct teeio_tsm *t = to_teeio_tsm(tsm->tsm_dev);

	tsm_call_begin(t, CALL_REMOVE, tsm->pdev);
	tsm_call_end(t, 0);
	if (!is_pci_tsm_pf0(tsm->pdev)) {
		kfree(tsm);
		return;
	}
	struct tsm_dsm *dsm = container_of(tsm, struct tsm_dsm, tsm.base_tsm);

	pci_tsm_pf0_destructor(&dsm->tsm);
	kfree(dsm);
}

static int dev_create(struct tsm_dsm *dsm, struct pci_dev *pdev)
{
	struct {
		__le32 length, reserved;
		__le64 ctx;
		__le16 device_id, root_port_id;
		u8 segment, reserved2[11];
	} __packed cmd = {
		.length = cpu_to_le32(sizeof(cmd)),
		.ctx = cpu_to_le64(dsm->ctx.sla),
		.device_id = cpu_to_le16(pci_dev_id(pdev)),
		.root_port_id = cpu_to_le16(tsm_port_number(pdev)),
		.segment = pci_domain_nr(pdev->bus),
	};

	return tsm_command(dsm->t, TIO_DEV_CREATE, &cmd, sizeof(cmd), &dsm->status);
}

static int dev_connect(struct tsm_dsm *dsm)
{
	struct tsm_cmd cmd = {};
	u8 *fields = cmd.raw + 4 * sizeof(u64) + 8;

	*(__le64 *)fields = cpu_to_le64(dsm->ctx.sla);
	fields[8] = BIT(0);			/* TC0 */
	memset(fields + 16, 0xff, 8);
	fields[16] = dsm->stream;
	return tsm_spdm_command(dsm, TIO_DEV_CONNECT, &cmd, 8 + 32 + 8 + 8 + 8 + 8 + 8);
}

static int dev_disconnect(struct tsm_dsm *dsm, bool force)
{
	struct tsm_cmd cmd = { .flags = cpu_to_le32(force ? TIO_FORCE : 0) };

	cmd.sla[4] = cpu_to_le64(dsm->ctx.sla);
	return tsm_spdm_command(dsm, TIO_DEV_DISCONNECT, &cmd, 8 + 5 * 8);
}

static int dev_reclaim(struct tsm_dsm *dsm)
{
	struct tsm_cmd cmd = { .length = cpu_to_le32(16) };

	cmd.sla[0] = cpu_to_le64(dsm->ctx.sla);
	return tsm_command(dsm->t, TIO_DEV_RECLAIM, &cmd, 16, &dsm->status);
}

static int connect_steps(struct tsm_dsm *dsm, struct pci_dev *pdev)
{
	struct teeio_tsm *t = dsm->t;
	int rc;

	if (tsm_gone(t))
		return -ENXIO;
	dsm->data_page = tsm_page_alloc(t, true);
	dsm->guest_req_page = tsm_page_alloc(t, false);
	dsm->guest_rsp_page = tsm_page_alloc(t, true);
	if (!dsm->data_page || !dsm->guest_req_page || !dsm->guest_rsp_page ||
	    tsm_buf_alloc(t, &dsm->ctx, t->sizes.dev_ctx, true) || tsm_spdm_alloc(dsm))
		return -ENOMEM;
	rc = dev_create(dsm, pdev);
	if (rc)
		return rc;
	dsm->created = true;
	rc = tsm_stream_setup(dsm);
	if (rc)
		return rc;
	rc = dev_connect(dsm);
	if (rc)
		return rc;
	tsm_stream_enable(dsm);
	return 0;
}

static void undo_connect(struct tsm_dsm *dsm)
{
	struct teeio_tsm *t = dsm->t;

	if (dsm->created && dev_reclaim(dsm))
		pci_warn(dsm->tsm.base_tsm.pdev, "TIO_DEV_RECLAIM: status %#x\n", dsm->status);
	dsm->created = false;
	tsm_stream_teardown(dsm);
	tsm_spdm_free(dsm);
	tsm_buf_free(t, &dsm->ctx);
	tsm_page_free(t, dsm->data_page, true);
	tsm_page_free(t, dsm->guest_req_page, false);
	tsm_page_free(t, dsm->guest_rsp_page, true);
	dsm->data_page = dsm->guest_req_page = dsm->guest_rsp_page = 0;
}

static int link_connect(struct pci_dev *pdev)
{
	struct tsm_dsm *dsm = to_dsm(pdev);
	int rc;

	if (pci_find_doe_mailbox(pdev, PCI_VENDOR_ID_PCI_SIG, PCI_DOE_FEATURE_SSESSION) !=
	    dsm->tsm.doe_mb)
		return -EFAULT;
	tsm_call_begin(dsm->t, CALL_CONNECT, pdev);
	rc = connect_steps(dsm, pdev);
	if (rc) {
		pci_err(pdev, "not connected: %d, status %#x\n", rc, dsm->status);
		undo_connect(dsm);
	}
	tsm_call_end(dsm->t, rc);
	return rc;
}

static void link_disconnect(struct pci_dev *pdev)
{
	struct tsm_dsm *dsm = to_dsm(pdev);
	int rc;

	tsm_call_begin(dsm->t, CALL_DISCONNECT, pdev);
	rc = dev_disconnect(dsm, false);
	if (rc)
		rc = dev_disconnect(dsm, true);
	undo_connect(dsm);
	tsm_call_end(dsm->t, rc);
}

/* Offsets of what follows the four buffers in every TDI command that talks to the device. */
static void about(struct tsm_dsm *dsm, struct tsm_tdi *tdi, struct tsm_cmd *cmd)
{
	struct tsm_guest *guest = (struct tsm_guest *)tdi->tdi.kvm;

	cmd->sla[4] = cpu_to_le64(dsm->ctx.sla);
	cmd->sla[5] = cpu_to_le64(tdi->ctx.sla);
	cmd->sla[6] = cpu_to_le64(guest->gctx);
}

static int tdi_create(struct tsm_dsm *dsm, struct tsm_tdi *tdi)
{
	struct pci_dev *pdev = tdi->tdi.pdev;
	int domain = pci_domain_nr(pdev->bus);
	u32 segment = domain ? BIT(24) | domain << 16 : 0;
	struct tsm_cmd cmd = { .length = cpu_to_le32(48) };

	cmd.sla[0] = cpu_to_le64(dsm->ctx.sla);
	cmd.sla[1] = cpu_to_le64(tdi->ctx.sla);
	cmd.sla[2] = cpu_to_le64(segment | pci_dev_id(pdev));	/* INTERFACE_ID */
	return tsm_command(dsm->t, TIO_TDI_CREATE, &cmd, 48, &dsm->status);
}

static int tdi_bind(struct tsm_dsm *dsm, struct tsm_tdi *tdi, bool run)
{
	struct tsm_cmd cmd = {};

	about(dsm, tdi, &cmd);
	cmd.sla[7] = cpu_to_le64((tdi->tdi.tdi_id & 0xffff) | (run ? BIT_ULL(32) : 0));
	return tsm_spdm_command(dsm, TIO_TDI_BIND, &cmd, 8 + 7 * 8 + 16);
}

static int tdi_unbind(struct tsm_dsm *dsm, struct tsm_tdi *tdi, bool force)
{
	struct tsm_cmd cmd = { .flags = cpu_to_le32(force ? TIO_FORCE : 0) };

	about(dsm, tdi, &cmd);
	return tsm_spdm_command(dsm, TIO_TDI_UNBIND, &cmd, 8 + 7 * 8);
}

static int tdi_reclaim(struct tsm_dsm *dsm, struct tsm_tdi *tdi)
{
	struct tsm_cmd cmd = { .length = cpu_to_le32(32) };

	cmd.sla[0] = cpu_to_le64(dsm->ctx.sla);
	cmd.sla[1] = cpu_to_le64(tdi->ctx.sla);
	return tsm_command(dsm->t, TIO_TDI_RECLAIM, &cmd, 32, &dsm->status);
}

/* The device's own word; TDISP_ERROR when there is none. */
static int tdi_state(struct tsm_dsm *dsm, struct tsm_tdi *tdi)
{
	struct tsm_cmd cmd = {};

	about(dsm, tdi, &cmd);
	cmd.sla[6] = cpu_to_le64(dsm->data_page);
	if (tsm_spdm_command(dsm, TIO_TDI_STATUS, &cmd, 8 + 7 * 8))
		return TDISP_ERROR;
	return readb(tsm_va(dsm->t, dsm->data_page) + 4);
}

/* A TDI that has run behind a fence: lifted once it is unbound. */
static void fence_clear(struct tsm_dsm *dsm, struct tsm_tdi *tdi)
{
	struct tsm_guest *guest = (struct tsm_guest *)tdi->tdi.kvm;
	struct tsm_cmd cmd = { .length = cpu_to_le32(32) };

	cmd.sla[0] = cpu_to_le64(dsm->ctx.sla);
	*(__le32 *)&cmd.sla[1] = cpu_to_le32(guest->asid);
	put_unaligned_le64(dsm->data_page, (u8 *)&cmd.sla[1] + 4);
	if (tsm_command(dsm->t, TIO_ASID_FENCE_STATUS, &cmd, 32, &dsm->status) ||
	    !(readq(tsm_va(dsm->t, dsm->data_page)) & 0xf) || !tdi->has_run)
		return;
	cmd = (struct tsm_cmd){ .length = cpu_to_le32(32) };
	cmd.sla[0] = cpu_to_le64(dsm->ctx.sla);
	cmd.sla[1] = cpu_to_le64(guest->gctx);
	tsm_command(dsm->t, TIO_ASID_FENCE_CLEAR, &cmd, 32, &dsm->status);
}

/* tdi_unbind() */
static void release(struct tsm_dsm *dsm, struct tsm_tdi *tdi)
{
	if (tdi->needs_unbind && tdi_unbind(dsm, tdi, false) &&
	    dsm->status != RET_INVALID_TDI_STATE)
		tdi_unbind(dsm, tdi, true);
	tdi_state(dsm, tdi);
	if (tdi_reclaim(dsm, tdi))
		pci_warn(tdi->tdi.pdev, "TIO_TDI_RECLAIM: status %#x\n", dsm->status);
	tsm_buf_free(dsm->t, &tdi->ctx);
	fence_clear(dsm, tdi);
}

static struct pci_tdi *bind_steps(struct tsm_dsm *dsm, struct pci_dev *pdev, struct kvm *kvm,
				  u32 tdi_id)
{
	struct tsm_tdi *tdi __free(kfree) = kzalloc(sizeof(*tdi), GFP_KERNEL);
	int rc;

	if (!tdi)
		return ERR_PTR(-ENOMEM);
	if (tsm_gone(dsm->t))
		return ERR_PTR(-ENXIO);
	pci_tsm_tdi_constructor(pdev, &tdi->tdi, kvm, tdi_id);
	tdi->needs_unbind = true;
	rc = tsm_buf_alloc(dsm->t, &tdi->ctx, dsm->t->sizes.tdi_ctx, true);
	if (rc)
		return ERR_PTR(rc);
	rc = tdi_create(dsm, tdi);
	if (rc) {
		tsm_buf_free(dsm->t, &tdi->ctx);
		return ERR_PTR(rc);
	}
	rc = tdi_bind(dsm, tdi, false);
	if (!rc && tdi_state(dsm, tdi) != TDISP_LOCKED)
		rc = -EIO;
	if (rc) {
		pci_err(pdev, "not bound: %d, status %#x\n", rc, dsm->status);
		release(dsm, tdi);
		return ERR_PTR(rc);
	}
	return &no_free_ptr(tdi)->tdi;
}

static struct pci_tdi *link_bind(struct pci_dev *pdev, struct kvm *kvm, u32 tdi_id)
{
	struct tsm_dsm *dsm = to_dsm(pdev->tsm->dsm_dev);
	struct pci_tdi *tdi;

	tsm_call_begin(dsm->t, CALL_BIND, pdev);
	tdi = bind_steps(dsm, pdev, kvm, tdi_id);
	tsm_call_end(dsm->t, PTR_ERR_OR_ZERO(tdi));
	return tdi;
}

static void link_unbind(struct pci_tdi *pci_tdi)
{
	struct tsm_tdi *tdi = container_of(pci_tdi, struct tsm_tdi, tdi);
	struct tsm_dsm *dsm = to_dsm(pci_tdi->pdev->tsm->dsm_dev);

	tsm_call_begin(dsm->t, CALL_UNBIND, pci_tdi->pdev);
	release(dsm, tdi);
	tsm_call_end(dsm->t, 0);
	kfree(tdi);
}

/* What the firmware wrote into the output buffer: a data object with a header of 32 bytes. */
static ssize_t give_output(struct tsm_dsm *dsm, sockptr_t out, size_t out_len)
{
	size_t room = (dsm->out.pages << PAGE_SHIFT) - 64, len = readl(dsm->out.va + 64 + 4);
	int rc;

	if (len < 32 || len > room)
		return -EIO;
	len = min(len - 32, out_len);

	void *data __free(kfree) = kzalloc(len + 1, GFP_KERNEL);

	if (!data)
		return -ENOMEM;
	memcpy_fromio(data, dsm->out.va + 64 + 32, len);
	rc = copy_to_sockptr(out, data, len);
	return rc ?: out_len - len;
}

static int set_state(struct tsm_dsm *dsm, struct tsm_tdi *tdi, u32 state)
{
	int now = tdi_state(dsm, tdi), rc;

	if (state == TDISP_UNLOCKED) {
		rc = tdi_unbind(dsm, tdi, false);
		tdi->needs_unbind = tdi->needs_unbind && rc;
		return rc;
	}
	if (state != TDISP_LOCKED && state != TDISP_RUN)
		return -EINVAL;
	if (now == state)
		return 0;
	if (state == TDISP_LOCKED || now != TDISP_LOCKED)
		return -EFAULT;
	rc = tdi_bind(dsm, tdi, true);
	tdi->has_run = tdi->has_run || !rc;
	return rc;
}

static int report(struct tsm_dsm *dsm, struct tsm_tdi *tdi)
{
	struct tsm_cmd cmd = {};

	about(dsm, tdi, &cmd);
	return tsm_spdm_command(dsm, TIO_TDI_REPORT, &cmd, 8 + 7 * 8);
}

/* A sealed message, which the host carries and cannot read. */
static ssize_t sealed(struct tsm_dsm *dsm, struct tsm_tdi *tdi, const void *message, size_t len,
		      sockptr_t out, size_t out_len)
{
	struct tsm_cmd cmd = {};
	int rc;

	memset_io(tsm_va(dsm->t, dsm->guest_req_page), 0, PAGE_SIZE);
	memcpy_toio(tsm_va(dsm->t, dsm->guest_req_page), message, len);
	about(dsm, tdi, &cmd);
	cmd.sla[7] = cpu_to_le64(dsm->guest_req_page);
	cmd.sla[8] = cpu_to_le64(dsm->guest_rsp_page);
	rc = tsm_spdm_command(dsm, TIO_GUEST_REQUEST, &cmd, 8 + 9 * 8);
	if (rc)
		return rc;

	void *answer __free(kfree) = kzalloc(PAGE_SIZE, GFP_KERNEL);

	if (!answer)
		return -ENOMEM;
	len = min_t(size_t, out_len, PAGE_SIZE);
	memcpy_fromio(answer, tsm_va(dsm->t, dsm->guest_rsp_page), len);
	return copy_to_sockptr(out, answer, len) ?: out_len - len;
}

/* What no host may do now: the firmware is to refuse. */
static int wrong_order(struct tsm_dsm *dsm, struct tsm_tdi *tdi, u32 number)
{
	switch (number) {
	case TIO_DEV_CREATE:
		return dev_create(dsm, dsm->tsm.base_tsm.pdev);
	case TIO_DEV_CONNECT:
		return dev_connect(dsm);
	case TIO_DEV_DISCONNECT:
		return dev_disconnect(dsm, false);
	case TIO_DEV_RECLAIM:
		return dev_reclaim(dsm);
	case TIO_TDI_CREATE:
		return tdi_create(dsm, tdi);
	case TIO_TDI_BIND:
		return tdi_bind(dsm, tdi, false);
	case TIO_TDI_RECLAIM:
		return tdi_reclaim(dsm, tdi);
	default:
		return -EINVAL;
	}
}

/*
 * STATE_CHANGE has a u32 TDISP state: RUN starts a locked TDI, UNLOCKED unbinds
 * it in the firmware. INFO with a u32 of 0 answers the interface report; with
 * more than that it is a sealed guest message. @tsm_code: the firmware's status.
 */
static ssize_t link_guest_req(struct pci_tdi *pci_tdi, enum pci_tsm_req_scope scope,
			      sockptr_t req_in, size_t in_len, sockptr_t req_out, size_t out_len,
			      u64 *tsm_code)
{
	struct tsm_tdi *tdi = container_of(pci_tdi, struct tsm_tdi, tdi);
	struct tsm_dsm *dsm = to_dsm(pci_tdi->pdev->tsm->dsm_dev);
	ssize_t rc = -EINVAL;
	u32 word;

	if (in_len < sizeof(word) || in_len > PAGE_SIZE)
		return -EINVAL;
	if (tsm_gone(dsm->t))
		return -ENXIO;

	void *in __free(kfree) = kzalloc(in_len, GFP_KERNEL);

	if (!in)
		return -ENOMEM;
	if (copy_from_sockptr(in, req_in, in_len))
		return -EFAULT;
	word = get_unaligned_le32(in);
	tsm_call_begin(dsm->t, CALL_GUEST_REQ, pci_tdi->pdev);
	if (sockptr_is_kernel(req_in) && in_len == sizeof(word) && (word & REQ_WRONG_ORDER)) {
		rc = wrong_order(dsm, tdi, word & ~REQ_WRONG_ORDER);
	} else if (scope == PCI_TSM_REQ_STATE_CHANGE) {
		rc = set_state(dsm, tdi, word);
	} else if (in_len > sizeof(word)) {
		rc = sealed(dsm, tdi, in, in_len, req_out, out_len);
	} else if (!word) {
		rc = report(dsm, tdi);
		if (!rc)
			rc = give_output(dsm, req_out, out_len);
	}
	if (tsm_code)
		*tsm_code = dsm->status;
	tsm_call_end(dsm->t, rc);
	return rc;
}

struct pci_tsm_ops teeio_tsm_ops = {
	.probe = link_probe,
	.remove = link_remove,
	.connect = link_connect,
	.disconnect = link_disconnect,
	.bind = link_bind,
	.unbind = link_unbind,
	.guest_req = link_guest_req,
};
