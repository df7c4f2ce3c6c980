// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Logging
import NIOCore

extension Routes {
    /// The server.
    /// - Parameters:
    ///   - idleTimeout: how long a connection may stay without a request, or within one that does not go on.
    ///   - connections: at most so many; others wait.
    ///   - onRunning: called with the address when the server listens.
    public func application(
        at address: BindAddress, idleTimeout: TimeAmount = .seconds(60), connections: Int = 1024, logger: Logger,
        onRunning: @escaping @Sendable (SocketAddress?) -> Void = { _ in }
    ) -> some ApplicationProtocol {
        Application(
            router: router(),
            server: .http1(
                configuration: .init(additionalChannelHandlers: [ClientWatch()], idleTimeout: idleTimeout)),
            configuration: ApplicationConfiguration(
                address: address, availableConnectionsDelegate: .maximum(connections, logger: logger)),
            onServerRunning: { onRunning($0.localAddress) },
            logger: logger)
    }
}
