"""Find liked short videos on a platform and fetch them: politely, resumably, each failure with its reason."""
