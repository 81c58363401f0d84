/* NVIDIA's management library as far as a meter reads it. What it tells stands in the file of FAKE_NVML:
   millijoules, milliwatts, degrees, and the return code of every reading. FAKE_INIT is what the start returns, FAKE_CARDS
   how many cards there are, of which the first one is lost where there are several. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long long told[4];

static int look(void) {
    FILE *file = fopen(getenv("FAKE_NVML"), "r");
    if (!file) return 999;
    int found = fscanf(file, "%llu %llu %llu %llu", &told[0], &told[1], &told[2], &told[3]);
    fclose(file);
    return found == 4 ? (int)told[3] : 999;
}

static int number_of(const char *name, int otherwise) { return getenv(name) ? atoi(getenv(name)) : otherwise; }

int nvmlInit_v2(void) { return number_of("FAKE_INIT", 0); }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = number_of("FAKE_CARDS", 1); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned number, void **handle) {
    *handle = (void *)(1ul + number);
    return number == 0 && number_of("FAKE_CARDS", 1) > 1 ? 15 : 0;
}
int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) { snprintf(text, size, "GPU-fake"); return 0; }
int nvmlDeviceGetName(void *handle, char *text, unsigned size) { snprintf(text, size, "a card"); return 0; }
const char *nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : code == 3 ? "Not Supported" : "Unknown"; }

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *value) {
    int code = look();
    *value = told[0];
    return told[0] == 0 && code == 0 ? 3 : code;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *value) {
    int code = look();
    *value = (unsigned)told[1];
    return code;
}
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *value) {
    int code = look();
    *value = (unsigned)told[2];
    return told[2] == 0 && code == 0 ? 3 : code;
}
