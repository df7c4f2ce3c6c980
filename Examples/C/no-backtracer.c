/* For static programs: see Examples/C/cc-tinysparse. */
char *__wrap_swift_copyAuxiliaryExecutablePath(const char *name) {
    (void)name;
    return 0;
}
