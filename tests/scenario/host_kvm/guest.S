# Real-mode code with segments of 4 GiB: what the guest of vmm.cc runs. It reports by 32-bit
# OUTs to port 0x510, one word each; vmm.cc says what they must be.
        .set BAR0, 0xd0000000           # registers: each access ends KVM_RUN
        .set BAR2, 0xe0000000           # the card's memory, a memslot
        .set RING, 0x4000
        .set COPY, 0x6000
        .set COUNT, 0x800               # interrupts taken
        .set REPORT, 0x510
        .set WORDS, 1024

        .macro port value, number
        mov $\value, %al
        out %al, $\number
        .endm
        .macro report
        mov $REPORT, %dx
        outl %eax, %dx
        .endm

        .section .rodata
        .global guest_start, guest_end, guest_interrupt, guest_rate
        .code16
guest_start:
        cli
        port 0x11, 0x20                 # both PICs; vectors 0x20 and 0x28; IRQ 5 alone
        port 0x11, 0xa0
        port 0x20, 0x21
        port 0x28, 0xa1
        port 0x04, 0x21
        port 0x02, 0xa1
        port 0x01, 0x21
        port 0x01, 0xa1
        port 0xdf, 0x21
        port 0xff, 0xa1

        mov $BAR2, %edi                 # a pattern into the card's memory
        mov $0x12345678, %eax
        mov $WORDS, %ecx
1:      mov %eax, (%edi)
        add $0x9e3779b9, %eax
        add $4, %edi
        dec %ecx
        jnz 1b

        mov $RING, %esi                 # local memory to memory, with an interrupt
        movl $0x201, (%esi)
        movl $4096, 4(%esi)
        movl $0, 8(%esi)
        movl $0, 12(%esi)
        movl $COPY, 16(%esi)
        movl $0, 20(%esi)
        movl $0, 24(%esi)
        movl $0, 28(%esi)
        mov $BAR0, %ebx
        movl $2, 0x08(%ebx)             # CONTROL.RESET
        movl $RING, 0x10(%ebx)
        movl $0, 0x14(%ebx)
        movl $4, 0x18(%ebx)
        movl $1, 0x08(%ebx)             # CONTROL.ENABLE
        movl $1, 0x24(%ebx)             # DOORBELL
2:      cli
        mov $COUNT, %esi
        cmpl $0, (%esi)
        jne 3f
        sti
        hlt
        jmp 2b

3:      mov 0x28(%ebx), %eax            # ERROR
        report
        mov $RING, %esi                 # the descriptor's status
        mov 24(%esi), %eax
        report
        mov $COUNT, %esi
        mov (%esi), %eax
        report
        mov $COPY, %edi                 # words that are not the pattern
        mov $0x12345678, %eax
        mov $WORDS, %ecx
        xor %ebp, %ebp
4:      cmp %eax, (%edi)
        je 5f
        inc %ebp
5:      add $0x9e3779b9, %eax
        add $4, %edi
        dec %ecx
        jnz 4b
        mov %ebp, %eax
        report

        mov $BAR2, %edi                 # memory space is off after this report, and on later
        mov (%edi), %eax
        report
        mov (%edi), %eax
        report
6:      hlt
        jmp 6b

guest_interrupt:                        # of IRQ 5
        push %eax
        push %esi
        mov $COUNT, %esi
        incl (%esi)
        mov $0x20, %al
        out %al, $0x20
        pop %esi
        pop %eax
        iret

guest_rate:                             # nothing but ends of KVM_RUN
        mov $REPORT, %dx
7:      outl %eax, %dx
        jmp 7b
guest_end:
        .section .note.GNU-stack, "", @progbits
