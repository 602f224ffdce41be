// Greets somebody.
package main

import (
	"acme.example/my-plugin/greeting"
	"oxide"
	"oxide/log"
	"oxide/plugin"
)

func init() { plugin.Run(run) }

func main() {}

// What the step does. An error fails the step, and so does a panic.
func run(inputs plugin.Inputs) (plugin.Outputs, error) {
	if inputs.Name == "" {
		return plugin.Outputs{}, oxide.InvalidInput("`name` is empty: write who to greet")
	}
	text := greeting.For(inputs.Name, inputs.Shout.SomeOr(false))
	log.Info(text)
	return plugin.Outputs{Greeting: text}, nil
}
