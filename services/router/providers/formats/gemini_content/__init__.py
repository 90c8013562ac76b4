"""Google's generateContent wire format, as the Gemini API and Vertex AI speak it."""
