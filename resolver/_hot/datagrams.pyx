"""Batches of datagrams in and out of UDP sockets: bytes and addresses, nothing decided.

Holds always: a call moves at most a batch; a datagram that cannot be sent costs itself alone; an answer leaves by the
socket, and from the address, that the query came in by.
"""

from libc.stdint cimport uint64_t

from resolver._hot.cursor cimport get32
from resolver._hot.socket cimport (
    AF_INET, AF_INET6, EAGAIN, ECONNREFUSED, EINTR, EWOULDBLOCK, MSG_DONTWAIT, MSG_NOSIGNAL, errno, ntohl, recvmmsg, sendmmsg,
    sockaddr_in, sockaddr_in6)


cdef enum:
    UDP = 1
    ADDRESS_BYTES = 28
    CONTROL_BYTES = 64


cdef class Datagrams:
    """The buffers of one worker."""

    def __cinit__(self):
        cdef int i
        self.fd = -1
        for i in range(BATCH):
            self.in_vectors[i].iov_base = self.in_bytes + i * IN_STRIDE
            self.in_vectors[i].iov_len = IN_BYTES
            self.incoming[i].msg_hdr.msg_iov = &self.in_vectors[i]
            self.incoming[i].msg_hdr.msg_iovlen = 1
            self.incoming[i].msg_hdr.msg_name = self.clients[i].address
            self.out_vectors[i].iov_base = self.out_bytes + i * OUT_BYTES
            self.outgoing[i].msg_hdr.msg_iov = &self.out_vectors[i]
            self.outgoing[i].msg_hdr.msg_iovlen = 1
        self.taken = BATCH

    cdef int receive(self, int fd, bint wildcard) noexcept nogil:
        """Takes what waits on a socket; how many, or -1 where nothing does. A client of transport 0 cannot be answered."""
        cdef int count, i
        cdef Client *client
        if wildcard != self.wildcard:
            self.wildcard = wildcard
            self.taken = BATCH
        # The kernel shortened these to what came.
        for i in range(self.taken):
            self.incoming[i].msg_hdr.msg_namelen = ADDRESS_BYTES
            self.incoming[i].msg_hdr.msg_control = self.clients[i].control if wildcard else NULL
            self.incoming[i].msg_hdr.msg_controllen = CONTROL_BYTES if wildcard else 0
        self.taken = 0
        count = recvmmsg(fd, self.incoming, BATCH, MSG_DONTWAIT, NULL)
        while count < 0:
            # An ICMP error of an earlier answer is told here: it concerns nobody who waits now.
            if errno != EINTR and errno != ECONNREFUSED:
                return -1
            count = recvmmsg(fd, self.incoming, BATCH, MSG_DONTWAIT, NULL)
        self.taken = count
        for i in range(count):
            client = &self.clients[i]
            client.fd = fd
            client.address_size = self.incoming[i].msg_hdr.msg_namelen
            client.control_size = <uint32_t>self.incoming[i].msg_hdr.msg_controllen
            client.transport = UDP if locate(client) else 0
            client.profile = -1
        return count

    cdef void post(self, const Client *client, uint32_t size) noexcept nogil:
        """Queues the answer that was written where `next_out` said, for a client who may be forgotten before it is sent."""
        self.receivers[self.count] = client[0]
        self.post_to(&self.receivers[self.count], size)

    cdef void post_to(self, Client *client, uint32_t size) noexcept nogil:
        """As `post`; `client` stays where it is until the queue is sent."""
        cdef uint32_t i = self.count
        self.fd = client.fd
        self.out_vectors[i].iov_len = size
        self.outgoing[i].msg_hdr.msg_name = client.address
        self.outgoing[i].msg_hdr.msg_namelen = client.address_size
        self.outgoing[i].msg_hdr.msg_control = client.control if client.control_size else NULL
        self.outgoing[i].msg_hdr.msg_controllen = client.control_size
        self.count += 1

    cdef uint32_t flush(self) noexcept nogil:
        """Sends the queue; how many could not be sent. A full send buffer drops the rest."""
        cdef uint32_t at = 0, dropped = 0
        cdef int sent
        while at < self.count:
            sent = sendmmsg(self.fd, self.outgoing + at, self.count - at, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent > 0:
                at += <uint32_t>sent
            elif errno == EAGAIN or errno == EWOULDBLOCK:
                dropped += self.count - at
                break
            elif errno != EINTR and errno != ECONNREFUSED:
                # This one cannot be sent (its address, say); those behind it can.
                dropped += 1
                at += 1
        self.count = 0
        return dropped


cdef bint locate(Client *client) noexcept nogil:
    """Reads a client's address; False for a source port of 0, to which nothing can be sent."""
    cdef const sockaddr_in *v4 = <const sockaddr_in *>client.address
    cdef const sockaddr_in6 *v6 = <const sockaddr_in6 *>client.address
    if v4.sin_family == AF_INET:
        client.high = 0
        client.low = <uint64_t>0xFFFF00000000 | ntohl(v4.sin_addr.s_addr)
        return v4.sin_port != 0
    client.high = <uint64_t>get32(v6.sin6_addr.s6_addr) << 32 | get32(v6.sin6_addr.s6_addr + 4)
    client.low = <uint64_t>get32(v6.sin6_addr.s6_addr + 8) << 32 | get32(v6.sin6_addr.s6_addr + 12)
    return v6.sin6_family == AF_INET6 and v6.sin6_port != 0
