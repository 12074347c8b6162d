// Renders a chart as `helm template` does, for tests/deploy.rs: Go's own templates, Sprig's functions and Helm's own `include`,
// `tpl`, `required` and `toYaml`. Helm itself is in no registry that the tests may use. What is not here (hooks, subcharts,
// `lookup`, `.Files`, `.Capabilities`) the chart does not use; a template that does fails.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run render.go CHART [VALUES]
//
// with Debian's golang-go, golang-github-masterminds-sprig-dev and golang-k8s-sigs-yaml-dev.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type table = map[string]interface{}

func read(path string, into interface{}) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		log.Fatalf("%s: %v", path, err)
	}
}

// Tables are merged, everything else is replaced; null takes a value away.
func merge(into, from table) {
	for name, value := range from {
		old, isOldTable := into[name].(table)
		new, isNewTable := value.(table)
		switch {
		case value == nil:
			delete(into, name)
		case isOldTable && isNewTable:
			merge(old, new)
		default:
			into[name] = value
		}
	}
}

func main() {
	chart := os.Args[1]
	var about struct{ Name, Version, AppVersion string }
	read(filepath.Join(chart, "Chart.yaml"), &about)
	values := table{}
	read(filepath.Join(chart, "values.yaml"), &values)
	for _, path := range os.Args[2:] {
		more := table{}
		read(path, &more)
		merge(values, more)
	}

	all := template.New("").Option("missingkey=error")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["required"] = func(what string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(what)
		}
		return value, nil
	}
	all.Funcs(functions)

	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil || len(files) == 0 {
		log.Fatalf("%s has no templates: %v", chart, err)
	}
	base := about.Name + "/templates"
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		template.Must(all.New(base + "/" + filepath.Base(file)).Parse(string(text)))
	}
	for _, file := range files {
		name := base + "/" + filepath.Base(file)
		if strings.HasPrefix(filepath.Base(file), "_") {
			continue
		}
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, table{
			"Values":   values,
			"Chart":    about,
			"Release":  table{"Name": "prod", "Namespace": "bots", "Service": "Helm", "IsInstall": true, "Revision": 1},
			"Template": table{"Name": name, "BasePath": base},
		})
		if err != nil {
			log.Fatal(err)
		}
		if strings.HasSuffix(file, ".txt") {
			fmt.Fprint(os.Stderr, out.String())
		} else if strings.TrimSpace(out.String()) != "" {
			fmt.Printf("---\n# Source: %s\n%s", name, out.String())
		}
	}
}
