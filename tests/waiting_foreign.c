/* Receives or sends u64 messages at a ring of annulus that waits on POSIX semaphores,
   by docs/format.md: `foreign recv|send FILE COUNT`. It takes no seat. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef _Atomic uint64_t word;

enum { CAPACITY = 40, CREATION_ID = 88, HEAD = 384, NOT_EMPTY = 512, NOT_FULL = 640,
       SLOTS = 768, STRIDE = 16 };

static unsigned char *base;

static word *at(uint64_t offset) { return (word *)(base + offset); }

static void fail(const char *what) { perror(what); exit(1); }

static sem_t *open_event(int number) {
    char name[64];
    snprintf(name, sizeof name, "/annulus-%016" PRIx64 "-%d", atomic_load(at(CREATION_ID)), number);
    sem_t *semaphore = sem_open(name, O_CREAT, 0600, 0);
    if (semaphore == SEM_FAILED) fail("sem_open");
    return semaphore;
}

/* The flag: arrivals << 1 | set. */
static void arrive(word *flag) {
    uint64_t seen = atomic_load(flag);
    while (!atomic_compare_exchange_weak(flag, &seen, (seen + 2) | 1)) {}
    atomic_thread_fence(memory_order_seq_cst);
}

static void notify(word *flag, sem_t *semaphore) {
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t seen = atomic_load(flag);
    if (seen & 1) {
        sem_post(semaphore);
        atomic_compare_exchange_strong(flag, &seen, seen & ~1ULL);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int file = open(argv[2], O_RDWR | O_CLOEXEC);
    struct stat facts;
    if (file < 0 || fstat(file, &facts) != 0) fail(argv[2]);
    base = mmap(NULL, facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) fail("mmap");
    if (memcmp(base, "annulus", 8) != 0) return 3;
    alarm(60);
    uint64_t count = strtoull(argv[3], NULL, 10), capacity = atomic_load(at(CAPACITY));
    sem_t *not_empty = open_event(0), *not_full = open_event(1);
    int sends = strcmp(argv[1], "send") == 0;
    for (uint64_t p = 0; p < count; p++) {
        uint64_t slot = SLOTS + (p & (capacity - 1)) * STRIDE;
        if (sends) {
            while (p - atomic_load(at(HEAD)) >= capacity) {
                arrive(at(NOT_FULL));
                if (p - atomic_load(at(HEAD)) >= capacity) sem_wait(not_full);
            }
            atomic_store(at(slot + 8), (uint64_t)(p * 0x9e3779b9ULL));
            atomic_store(at(slot), p + 1);
            notify(at(NOT_EMPTY), not_empty);
        } else {
            while (atomic_load(at(slot)) != p + 1) {
                arrive(at(NOT_EMPTY));
                if (atomic_load(at(slot)) != p + 1) sem_wait(not_empty);
            }
            if (atomic_load(at(slot + 8)) != p * 0x9e3779b9ULL) return 4;
            atomic_store(at(HEAD), p + 1);
            notify(at(NOT_FULL), not_full);
        }
    }
    return 0;
}
