// SPDX-License-Identifier: Apache-2.0

// A plugin for QEMU's user emulation: how often every block of instructions was executed. When the program ends, it writes
// a line for each block, "COUNT FUNCTION CODE", the code in hexadecimal, four bytes an instruction.
//
//     qemu-aarch64 -d plugin -plugin arm-blocks.so,out=FILE PROGRAM ...
//
// Debian has no package with QEMU's qemu-plugin.h; what is used of version 1 of its interface (QEMU 4.2 to 8.2) is declared here.

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t Plugin;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum Operation { ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(Plugin, void (*)(Plugin, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum Operation, void *number, uint64_t summand);
void qemu_plugin_register_atexit_cb(Plugin, void (*)(Plugin, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;

struct Block {
    struct Block *next;
    uint64_t address, count;
    char *function;
    size_t length;
    uint32_t code[];
};

enum { BUCKETS = 1 << 16 };
static struct Block *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *path = "blocks.txt";

// The block that is being translated: QEMU may translate it again, then it goes on being counted where it was.
static struct Block *find(struct qemu_plugin_tb *tb) {
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    size_t length = qemu_plugin_tb_n_insns(tb);
    struct Block **bucket = &buckets[(address >> 2) % BUCKETS];
    for (struct Block *b = *bucket; b; b = b->next)
        if (b->address == address && b->length == length) return b;
    struct Block *b = calloc(1, sizeof *b + length * sizeof b->code[0]);
    if (!b) abort();
    const char *function = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
    b->function = strdup(function && *function ? function : "?");
    b->address = address;
    b->length = length;
    for (size_t i = 0; i < length; i++)
        memcpy(&b->code[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof b->code[0]);
    b->next = *bucket;
    return *bucket = b;
}

static void translated(Plugin plugin, struct qemu_plugin_tb *tb) {
    (void)plugin;
    pthread_mutex_lock(&lock);
    struct Block *b = find(tb);
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &b->count, 1);
}

static void ended(Plugin plugin, void *context) {
    (void)plugin, (void)context;
    FILE *file = fopen(path, "w");
    if (!file) return perror(path);
    for (int i = 0; i < BUCKETS; i++) {
        for (struct Block *b = buckets[i]; b; b = b->next) {
            if (!b->count) continue;
            fprintf(file, "%llu %s ", (unsigned long long)b->count, b->function);
            for (size_t k = 0; k < b->length; k++) fprintf(file, "%08x", b->code[k]);
            fputc('\n', file);
        }
    }
    if (fclose(file)) perror(path);
}

EXPORT int qemu_plugin_install(Plugin plugin, const void *info, int count, char **options) {
    (void)info;
    for (int i = 0; i < count; i++)
        if (!strncmp(options[i], "out=", 4)) path = strdup(options[i] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
    qemu_plugin_register_atexit_cb(plugin, ended, 0);
    return 0;
}
