        .section .rodata
        .balign 4096
        .global guest_image_start, guest_image_end
guest_image_start:
        .incbin GUEST_IMAGE
guest_image_end:
        .balign 4096
        .global snp_guest_image_start, snp_guest_image_end
snp_guest_image_start:
        .incbin SNP_GUEST_IMAGE
snp_guest_image_end:
        .balign 4096
        .global realm_guest_image_start, realm_guest_image_end
realm_guest_image_start:
        .incbin REALM_GUEST_IMAGE
realm_guest_image_end:
        .section .note.GNU-stack, "", @progbits
