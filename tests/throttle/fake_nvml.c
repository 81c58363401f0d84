/* A libnvidia-ml.so.1 of two cards that are a file: what is set outlives the process, and calls that set are written to a
 * log. FAKE_NVML names the file, which fake_nvml.py lays out; FAKE_NVML_LOST_AT is the setter, counted from 1 in each
 * process, from which on cards are lost; with FAKE_NVML_USER setters are refused as they are to users who are not root. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CARDS = 2, SUCCESS = 0, INVALID = 2, UNSUPPORTED = 3, PERMISSION = 4, NOT_FOUND = 6, SIZE = 7, LOST = 15 };
typedef struct { unsigned limit, gpu, memory, busy; } Card;
static Card *cards;
static int journal = -1, setters, lost;

int nvmlInitWithFlags(unsigned flags) {
    const char *path = getenv("FAKE_NVML");
    if (!path) return UNSUPPORTED;
    char name[4096];
    snprintf(name, sizeof name, "%s.log", path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    journal = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    cards = mmap(0, CARDS * sizeof(Card), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return cards == MAP_FAILED ? UNSUPPORTED : SUCCESS;
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return "an error of the fake"; }

static int setter(const char *name, Card *card, unsigned value) {
    char line[128];
    const char *at = getenv("FAKE_NVML_LOST_AT");
    if (getenv("FAKE_NVML_USER")) return PERMISSION;
    if (at && ++setters >= atoi(at)) lost = 1;
    if (lost) return LOST;
    int length = snprintf(line, sizeof line, "%d %s %d %u\n", getpid(), name, (int)(card - cards), value);
    return write(journal, line, length) == length ? SUCCESS : UNSUPPORTED;
}

int nvmlDeviceGetCount_v2(unsigned *count) { *count = CARDS; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Card **card) {
    *card = cards + index;
    return index < CARDS ? SUCCESS : INVALID;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, Card **card) {
    for (int i = 0; i < CARDS; i++) {
        char own[32];
        snprintf(own, sizeof own, "GPU-fake-%d", i);
        if (!strcmp(uuid, own)) { *card = cards + i; return lost ? LOST : SUCCESS; }
    }
    return NOT_FOUND;
}
int nvmlDeviceGetUUID(Card *card, char *text, unsigned size) {
    snprintf(text, size, "GPU-fake-%d", (int)(card - cards));
    return SUCCESS;
}
int nvmlDeviceGetName(Card *card, char *text, unsigned size) { snprintf(text, size, "fake"); return SUCCESS; }
int nvmlDeviceGetArchitecture(Card *card, unsigned *architecture) { *architecture = card == cards ? 8 : 5; return SUCCESS; }

static int list(unsigned *count, unsigned *out, const unsigned *values, unsigned n) {
    unsigned room = *count;
    *count = n;
    if (!out || room < n) return SIZE;
    memcpy(out, values, n * sizeof *values);
    return SUCCESS;
}
int nvmlDeviceGetSupportedMemoryClocks(Card *card, unsigned *count, unsigned *out) {
    static const unsigned clocks[] = {8001, 5001, 405};
    return list(count, out, clocks, 3);
}
int nvmlDeviceGetSupportedGraphicsClocks(Card *card, unsigned memory, unsigned *count, unsigned *out) {
    static const unsigned clocks[] = {2100, 1905, 1740, 1335, 990, 600, 210};
    return list(count, out, clocks, 7);
}

int nvmlDeviceGetPowerManagementLimitConstraints(Card *card, unsigned *least, unsigned *most) {
    *least = 100000;
    *most = 300000;
    return SUCCESS;
}
int nvmlDeviceGetPowerManagementLimit(Card *card, unsigned *limit) { *limit = card->limit; return lost ? LOST : SUCCESS; }
int nvmlDeviceSetPowerManagementLimit(Card *card, unsigned limit) {
    int code = setter("SetPowerManagementLimit", card, limit);
    if (code) return code;
    if (limit < 100000 || limit > 300000) return INVALID;
    card->limit = limit;
    return SUCCESS;
}
int nvmlDeviceSetGpuLockedClocks(Card *card, unsigned least, unsigned most) {
    int code = setter("SetGpuLockedClocks", card, most);
    if (!code) card->gpu = most;
    return code;
}
int nvmlDeviceResetGpuLockedClocks(Card *card) {
    int code = setter("ResetGpuLockedClocks", card, 0);
    if (!code) card->gpu = 0;
    return code;
}
int nvmlDeviceSetMemoryLockedClocks(Card *card, unsigned least, unsigned most) {
    int code = setter("SetMemoryLockedClocks", card, most);
    if (!code) card->memory = most;
    return code;
}
int nvmlDeviceResetMemoryLockedClocks(Card *card) {
    int code = setter("ResetMemoryLockedClocks", card, 0);
    if (!code) card->memory = 0;
    return code;
}

/* A busy card runs at 1740 MHz at most, where its power limit has it; an idle one at 210. */
int nvmlDeviceGetClockInfo(Card *card, unsigned kind, unsigned *clock) {
    unsigned gpu = card->gpu && card->gpu < 1740 ? card->gpu : 1740;
    *clock = kind == 2 ? (card->memory ? card->memory : 8001) : card->busy ? gpu : 210;
    return lost ? LOST : SUCCESS;
}
int nvmlDeviceGetCurrentClocksEventReasons(Card *card, unsigned long long *reasons) {
    *reasons = !card->busy ? 1 : card->gpu && card->gpu < 1740 ? 0 : 4;
    return lost ? LOST : SUCCESS;
}
int nvmlDeviceGetPowerUsage(Card *card, unsigned *milliwatts) { *milliwatts = 61250; return lost ? LOST : SUCCESS; }
int nvmlDeviceGetTotalEnergyConsumption(Card *card, unsigned long long *millijoules) {
    *millijoules = 987654321;
    return card == cards ? SUCCESS : UNSUPPORTED;
}
int nvmlDeviceGetTemperature(Card *card, unsigned sensor, unsigned *degrees) { *degrees = 41; return lost ? LOST : SUCCESS; }
