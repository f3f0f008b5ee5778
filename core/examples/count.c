/*
 * Counts the instructions that an emulated program executes between its calls of marked functions:
 *
 *     qemu-system-arm -plugin count.so,begin=ADDRESS,end=ADDRESS,report=ADDRESS …
 *
 * Instructions from a call of `begin` to the next of `end` are added up; a call of `report` prints
 * the sum, and starts over. The markers do not count, the call of `end` does.
 *
 * No package brings QEMU's plugin header, so what is used of it (version 1 of its interface) is
 * declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_insn;
struct qemu_plugin_tb;
typedef void (*translated_fn)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_fn)(unsigned int vcpu, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_fn);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, executed_fn, int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int operation, void *to, uint64_t add);

enum { NO_REGISTERS = 0, ADD_U64 = 0 };

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t executed, begun, sum;

static void at_begin(unsigned int vcpu, void *data)
{
    begun = executed;
}

static void at_end(unsigned int vcpu, void *data)
{
    sum += executed - begun;
}

static void at_report(unsigned int vcpu, void *data)
{
    printf("instructions %" PRIu64 "\n", sum);
    fflush(stdout);
    sum = 0;
}

static struct {
    const char *name;
    executed_fn at;
    uint64_t address;
} markers[] = {
    { "begin=", at_begin, 0 },
    { "end=", at_end, 0 },
    { "report=", at_report, 0 },
};

enum { MARKERS = sizeof markers / sizeof *markers };

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        bool marked = false;
        for (size_t m = 0; m < MARKERS; m++) {
            if (qemu_plugin_insn_vaddr(instruction) == markers[m].address) {
                qemu_plugin_register_vcpu_insn_exec_cb(instruction, markers[m].at, NO_REGISTERS, NULL);
                marked = true;
            }
        }
        if (!marked)
            qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, &executed, 1);
    }
}

__attribute__((visibility("default")))
int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        for (size_t m = 0; m < MARKERS; m++) {
            size_t length = strlen(markers[m].name);
            if (!strncmp(argv[i], markers[m].name, length))
                /* Bit 0 of a function's address says Thumb. */
                markers[m].address = strtoull(argv[i] + length, NULL, 16) & ~1ull;
        }
    }
    for (size_t m = 0; m < MARKERS; m++) {
        if (!markers[m].address) {
            fprintf(stderr, "count: no %sADDRESS\n", markers[m].name);
            return 1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
