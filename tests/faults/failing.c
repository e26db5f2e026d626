/* Loaded with LD_PRELOAD: from the n-th of the calls that a kind of fault is about, they fail.

   faults_arm(kind, n, folders) begins to count the calls on files below folders, with colons
   between them; faults_count(kind)
   says how many there were of those that this kind is about. Kinds:
   full        writing and creating: no space left on the device
   io          writing: input/output error
   denied      creating, opening to write, renaming, making folders: permission denied
   unreadable  opening to read: permission denied
   vanish      the file that is opened to read as the n-th is removed first, that one alone
   change      ... gets another byte in its middle once it has been opened, that one alone

   gcc -shared -fPIC -o failing.so failing.c -ldl */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char kind[16], folders[8192];
static long from;
static atomic_long writes, opens, reads;

void faults_arm(const char *what, long n, const char *below) {
    snprintf(kind, sizeof kind, "%s", what);
    snprintf(folders, sizeof folders, "%s", below);
    from = n;
    writes = opens = reads = 0;
}

static int is(const char *what) { return strcmp(kind, what) == 0; }

long faults_count(const char *what) {
    snprintf(kind, sizeof kind, "%s", what);
    return is("full") || is("io") ? writes : is("denied") ? opens : reads;
}

static int below(const char *path) {
    char full[8192];
    if (!folders[0]) return 0;
    if (path[0] != '/') {
        if (!getcwd(full, 4096)) return 0;
        strcat(full, "/");
        strncat(full, path, 4000);
        path = full;
    }
    for (const char *one = folders; *one; one += strcspn(one, ":"), one += *one == ':')
        if (!strncmp(path, one, strcspn(one, ":"))) return 1;
    return 0;
}

static int below_fd(int fd) {
    char link[64], path[4096];
    struct stat info;
    if (!folders[0] || fstat(fd, &info) || !S_ISREG(info.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

/* Whether a call that is the n-th of its sort fails with this error, none if that is 0. */
static int fails(long n, int error) {
    if (!error || n < from) return 0;
    errno = error;
    return 1;
}

static int cannot_write(int fd) {
    return below_fd(fd) && fails(++writes, is("full") ? ENOSPC : is("io") ? EIO : 0);
}

/* Making a file or a folder needs room and the right to, opening one to write the right to. */
static int cannot_make(const char *path, int is_new) {
    if (!below(path)) return 0;
    if (is_new && fails(++writes, is("full") ? ENOSPC : 0)) return 1;
    return fails(++opens, is("denied") ? EACCES : 0);
}

static void spoil(const char *path) {
    struct stat info;
    static int (*plain)(const char *, int, ...);
    if (!plain) plain = dlsym(RTLD_NEXT, "open");
    int fd = plain(path, O_RDWR);
    char byte;
    if (fd < 0) return;
    if (!fstat(fd, &info) && pread(fd, &byte, 1, info.st_size / 2) == 1) {
        byte ^= 1;
        static ssize_t (*write_at)(int, const void *, size_t, off_t);
        if (!write_at) write_at = dlsym(RTLD_NEXT, "pwrite");
        write_at(fd, &byte, 1, info.st_size / 2);
    }
    close(fd);
}

/* -1: fails; 1: to be spoiled once it is open. */
static int before_open(const char *path, int flags) {
    struct stat info;
    if (flags & (O_CREAT | O_WRONLY | O_RDWR))
        return cannot_make(path, flags & O_CREAT && access(path, F_OK)) ? -1 : 0;
    if (!below(path) || stat(path, &info) || !S_ISREG(info.st_mode)) return 0;
    if (fails(++reads, is("unreadable") ? EACCES : 0)) return -1;
    if (reads == from && is("vanish")) unlink(path);
    return reads == from && is("change");
}

#define OPEN(name, parameters, arguments)                                            \
    int name parameters {                                                            \
        static int(*real) parameters;                                                \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                   \
        mode_t mode = 0;                                                             \
        if (flags & (O_CREAT | O_TMPFILE)) {                                         \
            va_list rest;                                                            \
            va_start(rest, flags);                                                   \
            mode = va_arg(rest, mode_t);                                             \
            va_end(rest);                                                            \
        }                                                                            \
        int found = before_open(path, flags);                                        \
        if (found < 0) return -1;                                                    \
        int fd = real arguments;                                                     \
        if (found > 0) spoil(path);                                                  \
        return fd;                                                                   \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))

#define FOPEN(name)                                                                  \
    FILE *name(const char *path, const char *mode) {                                 \
        static FILE *(*real)(const char *, const char *);                            \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                   \
        int flags = strchr(mode, 'w') || strchr(mode, 'a') ? O_WRONLY | O_CREAT      \
                    : strchr(mode, '+')                    ? O_RDWR                  \
                                                           : O_RDONLY;               \
        int found = before_open(path, flags);                                        \
        if (found < 0) return NULL;                                                  \
        FILE *file = real(path, mode);                                               \
        if (found > 0) spoil(path);                                                  \
        return file;                                                                 \
    }

FOPEN(fopen)
FOPEN(fopen64)

#define WRITE(name, type, parameters, arguments)                                     \
    type name parameters {                                                           \
        static type(*real) parameters;                                               \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                   \
        return cannot_write(fd) ? -1 : real arguments;                               \
    }

WRITE(write, ssize_t, (int fd, const void *data, size_t size), (fd, data, size))
WRITE(writev, ssize_t, (int fd, const struct iovec *data, int n), (fd, data, n))
WRITE(pwrite, ssize_t, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRITE(pwrite64, ssize_t, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
WRITE(ftruncate, int, (int fd, off_t size), (fd, size))
WRITE(ftruncate64, int, (int fd, off64_t size), (fd, size))

#define MAKE(name, path, parameters, arguments)                                      \
    int name parameters {                                                            \
        static int(*real) parameters;                                                \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                   \
        return cannot_make(path, 1) ? -1 : real arguments;                               \
    }

MAKE(mkdir, path, (const char *path, mode_t mode), (path, mode))
MAKE(mkdirat, path, (int at, const char *path, mode_t mode), (at, path, mode))

int rename(const char *path, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    return cannot_make(to, 0) ? -1 : real(path, to);
}
