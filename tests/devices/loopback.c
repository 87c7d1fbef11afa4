// Preloaded into Debian's adbd, which listens on every interface and on vsock: sockets stay on loopback, and what adbd
// starts does not inherit this.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

__attribute__((constructor)) static void forget(void) { unsetenv("LD_PRELOAD"); }

int socket(int family, int type, int protocol) {
  if (family == AF_VSOCK) {
    errno = EAFNOSUPPORT;
    return -1;
  }
  int (*real)(int, int, int) = dlsym(RTLD_NEXT, "socket");
  return real(family, type, protocol);
}

int bind(int fd, const struct sockaddr* address, socklen_t size) {
  int (*real)(int, const struct sockaddr*, socklen_t) = dlsym(RTLD_NEXT, "bind");
  if (address->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
    struct sockaddr_in6 local;
    memcpy(&local, address, sizeof local);
    // The socket serves both families: 127.0.0.1 as IPv6 writes it.
    static const unsigned char mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1};
    if (IN6_IS_ADDR_UNSPECIFIED(&local.sin6_addr)) memcpy(&local.sin6_addr, mapped, sizeof mapped);
    return real(fd, (const struct sockaddr*)&local, sizeof local);
  }
  if (address->sa_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
    struct sockaddr_in local;
    memcpy(&local, address, sizeof local);
    if (local.sin_addr.s_addr == htonl(INADDR_ANY)) local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return real(fd, (const struct sockaddr*)&local, sizeof local);
  }
  return real(fd, address, size);
}
