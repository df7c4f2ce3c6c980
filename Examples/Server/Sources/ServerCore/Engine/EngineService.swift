// SPDX-License-Identifier: Apache-2.0

import Logging
import ServiceLifecycle

/// Stops an engine gracefully: when the program is asked to end, running answers go on to theirs, for a while, and new
/// requests are refused. In a `ServiceGroup` it goes behind the server, which then serves until this is done.
public struct EngineService: Service {
    private let engine: Engine
    private let patience: Duration
    private let logger: Logger

    /// - Parameter patience: how long answers may take after the program was asked to end.
    public init(_ engine: Engine, patience: Duration, logger: Logger) {
        self.engine = engine
        self.patience = patience
        self.logger = logger
    }

    public func run() async throws {
        defer { engine.stop() }
        try await gracefulShutdown()
        logger.info("stopping: \(engine.status.open) texts are still being written")
        await withTaskGroup { group in
            group.addTask { await engine.drain() }
            group.addTask {
                try? await Task.sleep(for: patience)
                // Ends what is left, and so the other task.
                engine.stop()
            }
            _ = await group.next()
            group.cancelAll()
        }
    }
}
