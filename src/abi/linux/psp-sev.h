/* The uAPI of /dev/sev of Linux 7.3, for C and C++: AMD's secure processor.
 *
 * Source of every fact here: Linux include/uapi/linux/psp-sev.h. A program includes it as
 * <linux/psp-sev.h>; the rooms of teeio include abi/psp_sev.h.
 */
#ifndef TEEIO_ABI_LINUX_PSP_SEV_H
#define TEEIO_ABI_LINUX_PSP_SEV_H

#include <linux/ioctl.h>
#include <linux/types.h>

#pragma GCC system_header

/* abi/psp_sev.h makes this a qualified name, so that the macros work anywhere. */
#ifndef TEEIO_ABI_STRUCT
#define TEEIO_ABI_STRUCT(name) struct name
#endif

enum sev_issue_cmd_id {
  SEV_FACTORY_RESET = 0,
  SEV_PLATFORM_STATUS,
  SEV_PEK_GEN,
  SEV_PEK_CSR,
  SEV_PDH_GEN,
  SEV_PDH_CERT_EXPORT,
  SEV_PEK_CERT_IMPORT,
  SEV_GET_ID, /* deprecated: SEV_GET_ID2 */
  SEV_GET_ID2,
  SNP_PLATFORM_STATUS,
  SNP_COMMIT,
  SNP_SET_CONFIG,
  SNP_VLEK_LOAD,
  SEV_MAX
};

struct sev_issue_cmd {
  __u32 cmd;
  __u64 data;  /* pointer, by cmd */
  __u32 error; /* out: the firmware's answer */
} __attribute__((packed));

#define SEV_ISSUE_CMD _IOWR('S', 0x0, TEEIO_ABI_STRUCT(sev_issue_cmd))

struct sev_user_data_status { /* out */
  __u8 api_major;
  __u8 api_minor;
  __u8 state;
  __u32 flags;
  __u8 build;
  __u32 guest_count;
} __attribute__((packed));

struct sev_user_data_pek_csr {
  __u64 address;
  __u32 length;
} __attribute__((packed));

struct sev_user_data_pek_cert_import {
  __u64 pek_cert_address;
  __u32 pek_cert_len;
  __u64 oca_cert_address;
  __u32 oca_cert_len;
} __attribute__((packed));

struct sev_user_data_pdh_cert_export {
  __u64 pdh_cert_address;
  __u32 pdh_cert_len;
  __u64 cert_chain_address;
  __u32 cert_chain_len;
} __attribute__((packed));

struct sev_user_data_get_id { /* out */
  __u8 socket1[64];
  __u8 socket2[64];
} __attribute__((packed));

struct sev_user_data_get_id2 {
  __u64 address;
  __u32 length; /* in and out */
} __attribute__((packed));

struct sev_user_data_snp_status { /* out */
  __u8 api_major;
  __u8 api_minor;
  __u8 state;
  __u8 is_rmp_initialized; /* bit 0 */
  __u32 build_id;
  __u32 flags; /* 0 mask_chip_id, 1 mask_chip_key, 2 vlek_en, 3 feature_info, … */
  __u32 guest_count;
  __u64 current_tcb_version;
  __u64 reported_tcb_version;
} __attribute__((packed));

struct sev_user_data_snp_config {
  __u64 reported_tcb;
  __u32 flags; /* 0 mask_chip_id, 1 mask_chip_key */
  __u8 rsvd1[52];
} __attribute__((packed));

struct sev_user_data_snp_vlek_load {
  __u32 len;
  __u8 vlek_wrapped_version;
  __u8 rsvd[3];
  __u64 vlek_wrapped_address;
} __attribute__((packed));

struct sev_user_data_snp_wrapped_vlek_hashstick {
  __u8 data[432];
} __attribute__((packed));

#endif
