# A guest for QEMU (-kernel): finds teeio's DMA-engine function where the firmware put it, has
# it copy 4 KiB into its own memory and back, looks in the local APIC for the MSI-X message of
# the last descriptor, and says on the first serial port what came out. Then it asks for a reset,
# which ends QEMU (-no-reboot).
# 32-bit code, paging off. Registers: docs/devices/dma-engine.md.
        .set COM1, 0x3f8
        .set PAGES, 0x200000            # ring, from, to; one page each
        .set RING, PAGES
        .set FROM, PAGES + 0x1000
        .set TO, PAGES + 0x2000
        .set WORDS, 1024
        .set APIC, 0xfee00000
        .set VECTOR, 0x50
        .set REQUESTS, APIC + 0x200 + (VECTOR / 32) * 0x10

        .text
        .globl _start
        .balign 4
        .long 0x1badb002, 0, -0x1badb002  # multiboot
_start: cli
        mov $stack, %esp
        cld
        xor %ebx, %ebx                  # bus, device, function as CONFIG_ADDRESS has them
1:      xor %ecx, %ecx
        call config_read
        and $0xfff0ffff, %eax
        cmp $0x0d001efe, %eax
        je found
        add $0x100, %ebx
        cmp $0x100000, %ebx             # 16 buses
        jb 1b
        mov $no_card, %esi
        call say
        jmp off

found:  mov $4, %ecx                    # memory space, bus master
        call config_read
        or $6, %eax
        call config_write
        mov $0x10, %ecx
        call config_read
        and $0xfffffff0, %eax
        mov %eax, %ebp                  # BAR0
        mov $0x18, %ecx
        call config_read
        and $0xfffffff0, %eax
        mov %eax, bar2
        mov $0x20, %ecx
        call config_read
        and $0xfffffff0, %eax
        mov %eax, bar4

        movl $0x1ff, APIC + 0xf0        # on; what comes stays pending: interrupts are off
        mov bar4, %edi                  # vector 0 of the table
        movl $APIC, (%edi)
        movl $0, 4(%edi)
        movl $VECTOR, 8(%edi)
        movl $0, 12(%edi)
        mov $0x34, %ecx
        call config_read
capability:
        movzbl %al, %ecx
        call config_read
        cmp $0x11, %al                  # MSI-X
        je enable
        mov %ah, %al
        test %al, %al
        jnz capability
enable: or $0x80000000, %eax
        and $0xbfffffff, %eax
        call config_write

        mov $id, %esi
        mov 0(%ebp), %eax
        call say_word

        mov $FROM, %edi                 # memory to local to memory
        mov $0x12345678, %eax
        mov $WORDS, %ecx
2:      mov %eax, (%edi)
        add $0x9e3779b9, %eax
        add $4, %edi
        dec %ecx
        jnz 2b
        mov $RING, %edi
        xor %eax, %eax
        mov $16, %ecx
        rep stosl
        movl $4, RING                   # to local memory at 0x1000
        movl $4096, RING + 4
        movl $FROM, RING + 8
        movl $0x1000, RING + 16
        movl $0x201, RING + 32          # and back, with an interrupt
        movl $4096, RING + 36
        movl $0x1000, RING + 40
        movl $TO, RING + 48
        call ring_it
        mov $copy, %esi
        mov 0x28(%ebp), %eax            # ERROR
        call say_word

        mov $TO, %esi
        mov bar2, %edi
        add $0x1000, %edi
        call differences
        mov $wrong, %esi
        call say_word
        mov $TO, %esi
        mov $FROM, %edi
        call differences
        mov $wrong, %esi
        call say_word

        mov $0x40000, %ecx              # until the message is there
3:      mov REQUESTS, %eax
        and $1 << (VECTOR % 32), %eax
        jnz 4f
        dec %ecx
        jnz 3b
4:      mov $message, %esi
        call say_word

        movl $4, RING                   # from where nothing is
        movl $0xf0000000, RING + 8
        call ring_it
        mov $nowhere, %esi
        mov 0x28(%ebp), %eax
        call say_word
        mov $done, %esi
        call say
off:    mov $0xcf9, %dx                 # ICH9's reset control
        mov $6, %al
        outb %al, %dx
        hlt
        jmp off

ring_it:                                # descriptor 0 and 1
        movl $2, 0x08(%ebp)
        movl $RING, 0x10(%ebp)
        movl $0, 0x14(%ebp)
        movl $4, 0x18(%ebp)
        movl $1, 0x08(%ebp)
        movl $2, 0x24(%ebp)
        ret

differences:                            # %eax: words at %esi and %edi that are not equal
        xor %eax, %eax
        mov $WORDS, %ecx
1:      mov (%esi), %edx
        cmp (%edi), %edx
        je 2f
        inc %eax
2:      add $4, %esi
        add $4, %edi
        dec %ecx
        jnz 1b
        ret

select: mov $0xcf8, %dx                 # register %ecx of function %ebx
        push %eax
        mov %ebx, %eax
        or %ecx, %eax
        or $0x80000000, %eax
        outl %eax, %dx
        pop %eax
        mov $0xcfc, %dx
        ret
config_read:
        call select
        inl %dx, %eax
        ret
config_write:
        call select
        outl %eax, %dx
        ret

say_char:                               # %al
        push %edx
        push %eax
        mov $COM1 + 5, %dx
1:      inb %dx, %al
        test $0x20, %al
        jz 1b
        pop %eax
        mov $COM1, %dx
        outb %al, %dx
        pop %edx
        ret
say:    lodsb                           # the text at %esi
        test %al, %al
        jz 1f
        call say_char
        jmp say
1:      ret
say_word:                               # the text at %esi, then %eax in hexadecimal
        push %eax
        call say
        pop %edx
        mov $8, %ecx
1:      rol $4, %edx
        mov %edx, %eax
        and $15, %eax
        mov digits(%eax), %al
        call say_char
        dec %ecx
        jnz 1b
        mov $end_of_line, %esi
        jmp say

        .balign 4
bar2:   .long 0
bar4:   .long 0
digits: .ascii "0123456789abcdef"
no_card:     .asciz "guest: no card\r\n"
id:          .asciz "guest: ID "
copy:        .asciz "guest: copy: ERROR "
wrong:       .asciz "guest: words wrong "
message:     .asciz "guest: requests of the APIC "
nowhere:     .asciz "guest: DMA from nowhere: ERROR "
done:        .asciz "guest: done\r\n"
end_of_line: .asciz "\r\n"
        .balign 16
        .fill 4096, 1, 0
stack:
        .section .note.GNU-stack, "", @progbits
