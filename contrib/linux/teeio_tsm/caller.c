// SPDX-License-Identifier: GPL-2.0
/*
 * Who binds: Linux 7.3 has no caller of pci_tsm_bind() yet (it is to be iommufd,
 * for VFIO). In /sys/kernel/debug/teeio_tsm:
 *
 *   guest      "create": an SNP guest's context in the firmware, launched and
 *              active, without a VM behind it; "destroy"
 *   bind       "BDF [ID]"
 *   unbind     "BDF"
 *   request    "BDF run", "BDF lock", "BDF unlock", "BDF report", "BDF message",
 *              "BDF wrong NUMBER": that firmware command, out of order
 *   status     of the last request: its result, the firmware's status, bytes
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "teeio_tsm.h"

#define ASID		1
#define POLICY		(BIT(17) | 0x0100)	/* a reserved one; ABI 1.0 or later */
#define ANSWER_BYTES	4096

struct tsm_caller {
	struct teeio_tsm *t;
	struct dentry *dir;
	struct mutex lock;
	struct tsm_guest guest;
	ssize_t result;
	u64 code;
	size_t bytes;
	u8 answer[ANSWER_BYTES];
};

static int guest_command(struct tsm_caller *c, u32 number, const void *data, size_t len)
{
	u16 status;
	int rc = tsm_command(c->t, number, data, len, &status);

	c->code = status;
	c->result = rc;
	if (rc)
		pci_info(c->t->pdev, "guest's command %#x: status %#x\n", number, status);
	return rc;
}

static int guest_destroy(struct tsm_caller *c)
{
	__le64 gctx = cpu_to_le64(c->guest.gctx);
	int rc;

	if (!c->guest.gctx)
		return -ENOENT;
	rc = guest_command(c, SNP_DECOMMISSION, &gctx, sizeof(gctx));
	if (rc)
		return rc;
	tsm_page_free(c->t, c->guest.gctx, true);
	c->guest.gctx = 0;
	return 0;
}

/* snp_context_create(), snp_launch_start(), snp_bind_asid() of arch/x86/kvm/svm/sev.c */
static int guest_create(struct tsm_caller *c)
{
	__le64 start[6] = {};
	struct {
		__le64 gctx;
		__le32 asid;
	} __packed activate;
	int rc;

	if (c->guest.gctx)
		return -EBUSY;
	c->guest.gctx = tsm_page_alloc(c->t, true);
	if (!c->guest.gctx)
		return -ENOMEM;
	c->guest.asid = ASID;
	start[0] = activate.gctx = cpu_to_le64(c->guest.gctx);
	start[1] = cpu_to_le64(POLICY);
	activate.asid = cpu_to_le32(ASID);
	rc = guest_command(c, SNP_GCTX_CREATE, start, sizeof(u64));
	if (rc) {
		tsm_page_free(c->t, c->guest.gctx, true);
		c->guest.gctx = 0;
		return rc;
	}
	rc = guest_command(c, SNP_LAUNCH_START, start, sizeof(start));
	if (!rc)	/* what the ASID's guest before has left in caches: SNP_DF_FLUSH */
		rc = guest_command(c, 0x084, start, 0);
	if (!rc)
		rc = guest_command(c, SNP_ACTIVATE, &activate, sizeof(activate));
	if (rc)
		guest_destroy(c);
	return rc;
}

static struct pci_dev *find(const char *bdf)
{
	unsigned int domain, bus, dev, fn;

	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &dev, &fn) != 4)
		return NULL;
	return pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(dev, fn));
}

/* PCI/TSM's core compares this and looks at nothing behind it. */
static struct kvm *as_kvm(struct tsm_guest *guest)
{
	return guest->gctx ? (struct kvm *)guest : NULL;
}

static int ask(struct tsm_caller *c, struct pci_dev *pdev, enum pci_tsm_req_scope scope,
	       const void *req, size_t len, size_t out)
{
	c->code = RET_NONE;
	c->result = pci_tsm_guest_req(pdev, scope, KERNEL_SOCKPTR((void *)req), len,
				      KERNEL_SOCKPTR(c->answer), out, &c->code);
	c->bytes = c->result < 0 ? 0 : out - c->result;
	return min(c->result, 0);
}

static int request(struct tsm_caller *c, struct pci_dev *pdev, const char *what, unsigned int arg)
{
	static const u8 message[96];
	__le32 word = 0;

	if (!strcmp(what, "report"))
		return ask(c, pdev, PCI_TSM_REQ_INFO, &word, sizeof(word), sizeof(c->answer));
	if (!strcmp(what, "message"))
		return ask(c, pdev, PCI_TSM_REQ_INFO, message, sizeof(message), sizeof(c->answer));
	if (!strcmp(what, "debug"))
		return ask(c, pdev, PCI_TSM_REQ_DEBUG_READ, &word, sizeof(word), 0);
	if (!strcmp(what, "wrong"))
		word = cpu_to_le32(REQ_WRONG_ORDER | arg);
	else if (!strcmp(what, "run"))
		word = cpu_to_le32(TDISP_RUN);
	else if (!strcmp(what, "lock"))
		word = cpu_to_le32(TDISP_LOCKED);
	else if (strcmp(what, "unlock"))
		return -EINVAL;
	return ask(c, pdev, PCI_TSM_REQ_STATE_CHANGE, &word, sizeof(word), 0);
}

static int carry_out(struct tsm_caller *c, const char *file, const char *words)
{
	char bdf[16] = "", what[16] = "";
	unsigned int arg = 0;
	int rc;

	if (!strcmp(file, "guest"))
		return sysfs_streq(words, "create") ? guest_create(c) :
		       sysfs_streq(words, "destroy") ? guest_destroy(c) : -EINVAL;

	struct pci_dev *pdev __free(pci_dev_put) = find(words);

	if (!pdev)
		return -ENODEV;
	if (!strcmp(file, "bind")) {
		rc = sscanf(words, "%15s %i", bdf, &arg);
		return pci_tsm_bind(pdev, as_kvm(&c->guest), rc == 2 ? arg : pci_dev_id(pdev));
	}
	if (!strcmp(file, "unbind")) {
		pci_tsm_unbind(pdev);
		return 0;
	}
	if (sscanf(words, "%15s %15s %i", bdf, what, &arg) < 2)
		return -EINVAL;
	return request(c, pdev, what, arg);
}

static ssize_t caller_write(struct file *file, const char __user *from, size_t len, loff_t *at)
{
	struct tsm_caller *c = file->private_data;
	char words[64] = "";
	int rc;

	if (len >= sizeof(words) || copy_from_user(words, from, len))
		return -EINVAL;
	guard(mutex)(&c->lock);
	rc = carry_out(c, file->f_path.dentry->d_name.name, words);
	return rc ?: len;
}

static const struct file_operations caller_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = caller_write,
};

static int status_show(struct seq_file *m, void *unused)
{
	struct tsm_caller *c = m->private;

	guard(mutex)(&c->lock);
	seq_printf(m, "result %zd status %#llx bytes %zu\n", c->result, c->code, c->bytes);
	for (size_t i = 0; i < min_t(size_t, c->bytes, 16); i++)
		seq_printf(m, "%02x%s", c->answer[i], i == min_t(size_t, c->bytes, 16) - 1 ? "\n" : " ");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(status);

int tsm_caller_create(struct teeio_tsm *t)
{
	static const char *const files[] = { "guest", "bind", "unbind", "request" };
	struct tsm_caller *c = kzalloc(sizeof(*c), GFP_KERNEL);

	if (!c)
		return -ENOMEM;
	c->t = t;
	mutex_init(&c->lock);
	c->dir = debugfs_create_dir("teeio_tsm", NULL);
	for (int i = 0; i < ARRAY_SIZE(files); i++)
		debugfs_create_file(files[i], 0200, c->dir, c, &caller_fops);
	debugfs_create_file("status", 0400, c->dir, c, &status_fops);
	t->caller = c;
	return 0;
}

/* Nobody calls any more. */
void tsm_caller_destroy(struct teeio_tsm *t)
{
	debugfs_remove_recursive(t->caller->dir);
}

/* Nothing is bound any more. */
void tsm_caller_forget_guest(struct teeio_tsm *t)
{
	if (t->caller->guest.gctx && guest_destroy(t->caller))
		pci_warn(t->pdev, "the firmware keeps the guest\n");
	kfree(t->caller);
	t->caller = NULL;
}
