from libc.stdint cimport uint8_t, uint32_t

from resolver._hot.forward cimport Client
from resolver._hot.socket cimport iovec, mmsghdr

cdef enum:
    BATCH = 64
    IN_BYTES = 4096             # the largest query taken by UDP
    # Odd numbers of lines apart: at a power of two, a batch's packets would crowd into a few sets of the processor's cache.
    IN_STRIDE = 4160
    OUT_BYTES = 1600            # room for an answer by UDP, which is at most UDP_LIMIT

cdef class Datagrams:
    cdef mmsghdr incoming[BATCH]
    cdef iovec in_vectors[BATCH]
    cdef uint8_t in_bytes[BATCH * IN_STRIDE]
    cdef Client clients[BATCH]
    cdef mmsghdr outgoing[BATCH]
    cdef iovec out_vectors[BATCH]
    cdef uint8_t out_bytes[BATCH * OUT_BYTES]
    cdef Client receivers[BATCH]
    cdef uint32_t count
    cdef int fd
    cdef int taken              # how many headers the last call filled in
    cdef bint wildcard          # and whether packet information is asked for
    cdef int receive(self, int fd, bint wildcard) noexcept nogil
    cdef void post_to(self, Client *client, uint32_t size) noexcept nogil
    cdef void post(self, const Client *client, uint32_t size) noexcept nogil
    cdef uint32_t flush(self) noexcept nogil

    cdef inline uint8_t *packet(self, int i) noexcept nogil:
        return self.in_bytes + i * IN_STRIDE

    cdef inline uint32_t size(self, int i) noexcept nogil:
        return self.incoming[i].msg_len

    cdef inline bint full_for(self, int fd) noexcept nogil:
        # Whether the queue must be sent before an answer by this socket finds room in it.
        return self.count == BATCH or (self.count != 0 and self.fd != fd)

    cdef inline uint8_t *next_out(self) noexcept nogil:
        return self.out_bytes + self.count * OUT_BYTES
