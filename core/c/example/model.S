/* The model file MODEL as a part of the program. */
    .section .rodata
    .balign 16
    .global model
model:
    .incbin MODEL
    .set length, . - model

    .balign 8
    .global model_length
model_length:
#if __SIZEOF_POINTER__ == 8
    .quad length
#else
    .word length
#endif

    .section .note.GNU-stack, "", %progbits
