/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A link TSM for PCI/TSM whose firmware is behind teeio's mailbox function
 * (docs/secure-processor.md of teeio). It does what AMD's driver does, in its
 * order: drivers/crypto/ccp/sev-dev-tsm.c and sev-dev-tio.c of Linux 7.3 up to
 * connect and disconnect, the same files of AMDESE/linux-kvm for the rest.
 */
#ifndef TEEIO_TSM_H
#define TEEIO_TSM_H

#include <linux/genalloc.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/mutex.h>
#include <linux/pci-doe.h>
#include <linux/pci-tsm.h>
#include <linux/pci.h>
#include <linux/tsm.h>

/* BAR 0 */
#define TSM_IDENTITY		0x00
#define   TSM_IDENTITY_VALUE	0x50534554
#define TSM_VERSION		0x04
#define   TSM_VERSION_VALUE	1
#define TSM_MEMORY_LOW		0x08
#define TSM_MEMORY_HIGH		0x0c
#define TSM_MEMORY_BYTES	0x10
#define TSM_COMMAND		0x20
#define   TSM_RESPONSE		BIT(31)
#define   TSM_COMMAND_SHIFT	16
#define TSM_BUFFER_LOW		0x24
#define TSM_BUFFER_HIGH		0x28
#define TSM_PAGE_LOW		0x30
#define TSM_PAGE_HIGH		0x34
#define TSM_RMP_UPDATE		0x44
#define   TSM_RMP_FIRMWARE	(BIT(0) | BIT(1)) /* assigned to ASID 0, immutable */
#define   TSM_RMP_SHARED	0
#define TSM_PORT		0x50
#define TSM_CALL		0x60
#define TSM_CALL_END		0x64
#define TSM_PORT_CONFIG		0x1000

/* Calls of PCI/TSM's core, for the mailbox's chart. */
enum tsm_call {
	CALL_PROBE = 1,
	CALL_REMOVE,
	CALL_CONNECT,
	CALL_DISCONNECT,
	CALL_BIND,
	CALL_UNBIND,
	CALL_GUEST_REQ,
};

/* Commands: SNP's from the firmware ABI (56860), TIO's as AMDESE/linux-kvm numbers them. */
#define SNP_DF_FLUSH		0x084
#define SNP_INIT_EX		0x085
#define   SNP_INIT_RMP		BIT(0)
#define   SNP_INIT_TIO		BIT(4)
#define SNP_SHUTDOWN_EX		0x086
#define SNP_DECOMMISSION	0x090
#define SNP_ACTIVATE		0x091
#define SNP_GCTX_CREATE		0x093
#define SNP_LAUNCH_START	0x0a0
#define SNP_PAGE_RECLAIM	0x0c7
#define TIO_STATUS		0x0d0
#define TIO_INIT		0x0d1
#define TIO_DEV_CREATE		0x0d2
#define TIO_DEV_RECLAIM		0x0d3
#define TIO_DEV_CONNECT		0x0d4
#define TIO_DEV_DISCONNECT	0x0d5
#define TIO_TDI_CREATE		0x0da
#define TIO_TDI_RECLAIM		0x0db
#define TIO_TDI_BIND		0x0dc
#define TIO_TDI_UNBIND		0x0dd
#define TIO_TDI_REPORT		0x0de
#define TIO_TDI_STATUS		0x0df
#define TIO_GUEST_REQUEST	0x0e0
#define TIO_ASID_FENCE_CLEAR	0x0e1
#define TIO_ASID_FENCE_STATUS	0x0e2
#define TIO_FORCE		BIT(0)

#define RET_DF_FLUSH_REQUIRED	0x0f /* SEV_RET_DFFLUSH_REQUIRED */
#define RET_EXPAND_BUFFER	0x31 /* SEV_RET_EXPAND_BUFFER_LENGTH_REQUEST */
#define RET_SPDM_REQUEST	0x32 /* SEV_RET_SPDM_REQUEST */
#define RET_INVALID_TDI_STATE	0x3c
#define RET_NONE		0xffff /* the mailbox has not answered */

enum { TDISP_UNLOCKED, TDISP_LOCKED, TDISP_RUN, TDISP_ERROR };

struct tsm_sizes {
	u32 req, scratch, out, dev_ctx, tdi_ctx;
};

/* The processor: one command at a time, as under sev_cmd_mutex. */
struct teeio_tsm {
	struct pci_dev *pdev;
	void __iomem *regs;
	void __iomem *mem;
	struct gen_pool *pool;
	struct mutex lock;
	u64 cmd_page;
	struct tsm_sizes sizes;
	struct ida streams;
	struct tsm_dev *tsm_dev;
	struct tsm_caller *caller;
};

/* Pages that the firmware sees; sla is what commands call them. */
struct tsm_buf {
	u64 sla, list, addr;
	void __iomem *va;
	u32 pages;
	bool firmware;
};

/* struct tio_dsm */
struct tsm_dsm {
	struct pci_tsm_pf0 tsm;
	struct teeio_tsm *t;
	struct tsm_buf ctx, req, rsp, scratch, out;
	u64 data_page, guest_req_page, guest_rsp_page;
	int stream; /* -1: none */
	bool created, ep_set, rp_set;
	u16 status; /* psp_ret */
};

struct tsm_guest {
	u64 gctx;
	u32 asid;
};

/* struct tio_tdi */
struct tsm_tdi {
	struct pci_tdi tdi;
	struct tsm_buf ctx;
	bool needs_unbind, has_run;
};

/* What every command has that talks to a device; others use less. */
struct tsm_cmd {
	__le32 length, flags;
	union {
		u8 raw[120];
		__le64 sla[15];
	};
} __packed;

/* mailbox.c */
int tsm_command(struct teeio_tsm *t, u32 number, const void *data, size_t len,
		u16 *status);
bool tsm_gone(struct teeio_tsm *t);
u64 tsm_page_alloc(struct teeio_tsm *t, bool firmware);
void tsm_page_free(struct teeio_tsm *t, u64 page, bool firmware);
void __iomem *tsm_va(struct teeio_tsm *t, u64 addr);
int tsm_buf_alloc(struct teeio_tsm *t, struct tsm_buf *buf, size_t bytes,
		  bool firmware);
void tsm_buf_free(struct teeio_tsm *t, struct tsm_buf *buf);
void tsm_call_begin(struct teeio_tsm *t, enum tsm_call call,
		    struct pci_dev *pdev);
void tsm_call_end(struct teeio_tsm *t, int rc);

/* spdm.c: until it is over, with the device's answers brought by the core's DOE */
int tsm_spdm_command(struct tsm_dsm *dsm, u32 number, struct tsm_cmd *cmd,
		     size_t len);
int tsm_spdm_alloc(struct tsm_dsm *dsm);
void tsm_spdm_free(struct tsm_dsm *dsm);

/* ide.c */
u8 tsm_port_number(struct pci_dev *pdev);
int tsm_stream_setup(struct tsm_dsm *dsm);
void tsm_stream_enable(struct tsm_dsm *dsm);
void tsm_stream_teardown(struct tsm_dsm *dsm);

/* link.c */
extern struct pci_tsm_ops teeio_tsm_ops;
/* Requests that only this module's own caller makes: a host that is out of order. */
#define REQ_WRONG_ORDER		0x80000000

/* caller.c */
int tsm_caller_create(struct teeio_tsm *t);
void tsm_caller_forget_guest(struct teeio_tsm *t);
void tsm_caller_destroy(struct teeio_tsm *t);

#endif
