// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Tells when the client of a connection goes away: by closing it, or by closing its sending half, after which nobody can
/// say whether it still reads. Belongs to the connection's event loop.
final class ClientWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    private var isGone = false
    private var onGone: (@Sendable () -> Void)?

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { leave() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        leave()
        context.fireChannelInactive()
    }

    private func leave() {
        isGone = true
        onGone?()
        onGone = nil
    }

    private func watch(_ onGone: (@Sendable () -> Void)?) {
        self.onGone = onGone
        if isGone { leave() }
    }

    /// Calls a function when the client goes away, or at once if it has, until `work` is done.
    static func during<Value>(
        _ channel: any Channel, onGone: @escaping @Sendable () -> Void, _ work: () async throws -> Value
    ) async rethrows -> Value {
        set(channel, onGone)
        defer { set(channel, nil) }
        return try await work()
    }

    private static func set(_ channel: any Channel, _ onGone: (@Sendable () -> Void)?) {
        channel.eventLoop.execute {
            // A connection that is closed has no handlers any more.
            guard let watch = try? channel.pipeline.syncOperations.handler(type: ClientWatch.self) else {
                onGone?()
                return
            }
            watch.watch(onGone)
        }
    }
}
