/* The model file MODEL as a part of the program, and the file CALIBRATED where there is one. */
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
#define SIZE .quad
#else
#define SIZE .word
#endif
    SIZE length

#ifdef CALIBRATED
    .global calibrated
calibrated:
    .incbin CALIBRATED
    .set calibrated_bytes, . - calibrated

    .balign 8
    .global calibrated_length
calibrated_length:
    SIZE calibrated_bytes
#endif

    .section .note.GNU-stack, "", %progbits
