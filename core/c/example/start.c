/* Start-up of a Cortex-M with newlib: vectors, initial values, FPU. */
#include <stdint.h>
#include <string.h>

extern uint32_t stack_top[], data_load[], data_start[], data_end[];
void _start(void);

static void reset(void)
{
#ifdef __ARM_FP
    volatile uint32_t *coprocessors = (volatile uint32_t *)0xe000ed88;
    *coprocessors |= 0xf << 20;
    __asm__ volatile("dsb\n isb");
#endif
    memcpy(data_start, data_load, (uintptr_t)data_end - (uintptr_t)data_start);
    _start();
}

static void fault(void)
{
    for (;;)
        ;
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, reset, fault, fault, fault, fault, fault,
};
