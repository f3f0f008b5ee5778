/* A QEMU TCG plugin that counts the instructions of marked regions, by function.
 *
 * A region runs from each execution of the instruction at `begin` to that at `end`; what is
 * executed after the first instruction of a function named by `at=` counts for that function,
 * until the next such. One line a region: its instructions and modelled cycles in all, then for
 * each `at`, in the order given.
 *
 * The declarations are those of QEMU's documented plugin API, version 1; Debian packages no header.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int vcpu, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            qemu_plugin_vcpu_udata_cb_t cb,
                                            enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_outs(const char *text);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { FUNCTIONS = 32 };

enum core { M0, M4, M55 };

struct count {
    uint64_t instructions, cycles;
};

/* What is known of an instruction once it is translated. */
struct instruction {
    uint64_t address, next;
    int cycles;     /* where it does not jump */
    int function;   /* that begins here, or -1 */
    bool begin, end;
};

static uint64_t begin_at, end_at, functions[FUNCTIONS];
static int function_count;
static enum core core = M4;

static bool counting;
static int current;
static uint64_t expected; /* the address of the instruction after the last one */
static struct count counts[FUNCTIONS + 1];

static int refill(void) { return core == M0 ? 1 : 3; }

static int registers(unsigned list) { return __builtin_popcount(list); }

/* Cycles of an instruction that does not jump: benches/README.md has the table. */
static int cycles_of(unsigned first, unsigned second, size_t size) {
    int store = core == M0 ? 2 : 1;
    if (size == 2) {
        if ((first & 0xf000) == 0xc000) return 1 + registers(first & 0xff); /* LDM, STM */
        if ((first & 0xf600) == 0xb400) return 1 + registers(first & 0x1ff); /* PUSH, POP */
        if ((first & 0xf800) == 0x4800) return 2; /* LDR literal */
        if ((first & 0xf000) == 0x5000) return (first & 0x0e00) >= 0x0600 ? 2 : store;
        if ((first & 0xe000) == 0x6000 || (first & 0xf000) == 0x8000 || (first & 0xf000) == 0x9000)
            return first & 0x0800 ? 2 : store;
        return 1;
    }
    if (core == M55 && ((first & 0xef00) == 0xef00 || (first & 0xee00) == 0xee00 ||
                        (first & 0xee00) == 0xec00))
        return 2; /* vectors: two beats a cycle, four beats */
    if ((first & 0xfe40) == 0xe800) return 1 + registers(second); /* LDM, STM, PUSH, POP */
    if ((first & 0xfe40) == 0xe840) return 3; /* LDRD, STRD, and exclusives */
    if ((first & 0xfe00) == 0xf800) return first & 0x0010 ? 2 : store;
    if ((first & 0xffd0) == 0xfb90) return 12; /* SDIV, UDIV */
    return 1;
}

static void report(void) {
    char line[2048];
    struct count all = {0, 0};
    for (int i = 0; i <= function_count; i++) {
        all.instructions += counts[i].instructions;
        all.cycles += counts[i].cycles;
    }
    int at = snprintf(line, sizeof line, "region %" PRIu64 " %" PRIu64, all.instructions, all.cycles);
    for (int i = 0; i < function_count; i++)
        at += snprintf(line + at, sizeof line - at, " %" PRIu64 " %" PRIu64,
                       counts[i].instructions, counts[i].cycles);
    snprintf(line + at, sizeof line - at, "\n");
    qemu_plugin_outs(line);
}

static void executed(unsigned int vcpu, void *data) {
    const struct instruction *instruction = data;
    (void)vcpu;
    if (counting) {
        if (instruction->function >= 0) current = instruction->function;
        counts[current].instructions++;
        counts[current].cycles += instruction->cycles;
        if (instruction->address != expected) counts[current].cycles += refill();
    }
    expected = instruction->next;
    if (instruction->begin) {
        counting = true;
        current = function_count;
        memset(counts, 0, sizeof counts);
    }
    if (instruction->end && counting) {
        counting = false;
        report();
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        /* Kept as long as QEMU runs: translated code keeps its address. */
        struct instruction *known = calloc(1, sizeof *known);
        const uint8_t *bytes = qemu_plugin_insn_data(insn);
        size_t size = qemu_plugin_insn_size(insn);
        known->address = qemu_plugin_insn_vaddr(insn);
        known->next = known->address + size;
        known->cycles = cycles_of(bytes[0] | bytes[1] << 8,
                                  size == 4 ? bytes[2] | bytes[3] << 8 : 0, size);
        known->begin = known->address == begin_at;
        known->end = known->address == end_at;
        known->function = -1;
        for (int f = 0; f < function_count; f++)
            if (known->address == functions[f]) known->function = f;
        qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, QEMU_PLUGIN_CB_NO_REGS, known);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void *info, int argc,
                                                               char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        if (!value) return 1;
        value++;
        uint64_t address = strtoull(value, NULL, 16);
        if (!strncmp(argv[i], "begin=", 6)) begin_at = address;
        else if (!strncmp(argv[i], "end=", 4)) end_at = address;
        else if (!strncmp(argv[i], "core=", 5))
            core = !strcmp(value, "m0") ? M0 : !strcmp(value, "m55") ? M55 : M4;
        else if (!strncmp(argv[i], "at=", 3) && function_count < FUNCTIONS)
            functions[function_count++] = address;
        else return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
