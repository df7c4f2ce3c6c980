// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import NIOCore

/// What belongs to a request.
public struct ServerContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    /// The connection.
    let channel: any Channel

    public init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}

/// Writes to a client that has to take what it gets within a time: it is disconnected otherwise, so that nothing is kept for
/// it for ever.
struct WriteDeadline: Sendable {
    let channel: any Channel
    /// For each part of an answer.
    let timeout: TimeAmount

    func write(_ buffer: ByteBuffer, to writer: inout any ResponseBodyWriter) async throws {
        let alarm = channel.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
        defer { alarm.cancel() }
        try await writer.write(buffer)
    }
}
