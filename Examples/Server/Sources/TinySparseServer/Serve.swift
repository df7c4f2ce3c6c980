// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Hummingbird
import Logging
import ServerCore
import ServiceLifecycle
import TinySparse

@main
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tinysparse-server",
        abstract: "Serves a language model over HTTP, as OpenAI's clients expect it.",
        discussion: """
            Then, in a browser: http://127.0.0.1:8080/
            With a client of OpenAI's: base_url="http://127.0.0.1:8080/v1"

            Paths: /v1/chat/completions, /v1/completions, /v1/models, /health, /metrics. The README says what of their \
            requests is supported. SIGTERM and Ctrl-C let running answers end.
            """)

    @Argument(help: "A native model file, or a .gguf file or Hugging Face folder to be converted in memory.")
    var model = "models/tinysparse-fairy.gguf"

    @OptionGroup(title: "Network") var network: NetworkOptions
    @OptionGroup(title: "Model") var modelOptions: ModelOptions
    @OptionGroup(title: "Limits") var limits: LimitOptions

    func run() async throws {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        let logger = network.logger
        let settings = try network.settings(limits)
        let served = try modelOptions.open(model, limits, logger)
        if settings.apiKey == nil, !["127.0.0.1", "::1", "localhost"].contains(network.host) {
            logger.warning("everybody who reaches \(network.host) can use this server; set TINYSPARSE_API_KEY")
        }
        let app = Routes(served, settings).application(
            at: .hostname(network.host, port: network.port), idleTimeout: .seconds(Int64(limits.idleTimeout)),
            connections: limits.connections, logger: logger
        ) { address in
            let host = network.host.contains(":") ? "[\(network.host)]" : network.host
            logger.info("serving \(served.name) at http://\(host):\(address?.port ?? network.port)/")
        }
        let engine = EngineService(served.engine, patience: .seconds(limits.drainTimeout), logger: logger)
        // Services end from the last to the first: the engine's answers, then the server.
        let group = ServiceGroup(
            configuration: .init(
                services: [app, engine], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}
